// Pages without a stream: whether central still answers, and that nothing typed is lost when it does not.
//
// They ask for a small file while somebody looks at them; that is no sign of life of a person, so it keeps nobody
// signed in. A form is sent only after central has answered: a browser would put a page of its own in its place.

const ASK_EVERY_MS = 5000;
const LOST_AFTER_MS = 12_000;
const box = document.querySelector('#lost.page-lost');
const passed = new WeakSet();
let heardAt = performance.now();
let heardClock = new Date();
let isAsking = false;

const isLost = () => document.body.classList.contains('lost');
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');

function heard() {
  heardAt = performance.now();
  heardClock = new Date();
  if (!isLost()) return;
  document.body.classList.remove('lost');
  box.hidden = true;
  box.removeAttribute('role');
}

function show(text) {
  box.querySelector('.lost-text').textContent = text;
}

function age() {
  const seconds = Math.floor((performance.now() - heardAt) / 1000);
  show(fill(box.dataset.text, { time: heardClock.toLocaleTimeString('nb-NO').replaceAll('.', ':'), n: seconds }));
}

function lose() {
  document.body.classList.add('lost');
  box.hidden = false;
  box.setAttribute('role', 'alert');
  age();
}

async function answers(path, method) {
  try {
    return await fetch(path, { method, cache: 'no-store', signal: AbortSignal.timeout(4000) });
  } catch {
    return null;
  }
}

async function ask() {
  if ((await answers('/static/brand.svg', 'HEAD'))?.ok) heard();
  else if (performance.now() - heardAt > LOST_AFTER_MS) lose();
}

function signedOut() {
  lose();
  box.querySelector('.lost-title').textContent = box.dataset.endedTitle;
  show(box.dataset.endedText);
  const link = Object.assign(document.createElement('a'), { className: 'btn primary', href: '/sign-in', target: '_blank', textContent: box.dataset.signIn });
  box.querySelector('#try-now').replaceWith(link);
}

/** Whether there is something to lose. Ticks and choices are made again in a moment. */
function hasTyped(form) {
  return [...form.elements].some((field) => field.matches('textarea, input:not([type="radio"], [type="checkbox"], [type="hidden"])') && field.value !== field.defaultValue);
}

/** Sends the form when somebody is there to take it, with the token of the session as it is now. */
async function send(form, submitter) {
  const answer = await answers('/api/v1/session', 'GET');
  if (answer?.status === 401) return signedOut();
  if (!answer?.ok) {
    lose();
    box.scrollIntoView({ block: 'nearest' });
    return;
  }
  heard();
  const { csrf } = await answer.json();
  for (const field of document.querySelectorAll('input[name="csrf"]')) field.value = csrf;
  passed.add(form);
  form.requestSubmit(submitter);
}

if (box) {
  setInterval(() => {
    if (document.hidden) return;
    if (isLost()) age();
  }, 1000);
  setInterval(() => { if (!document.hidden) ask(); }, ASK_EVERY_MS);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) ask(); });
  box.addEventListener('click', (event) => { if (event.target.closest('#try-now')) ask(); });
  document.addEventListener('submit', async (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== 'post' || form.matches('.menu *, [hx-post]') || passed.delete(form) || !hasTyped(form)) return;
    event.preventDefault();
    if (isAsking) return;
    isAsking = true;
    try {
      await send(form, event.submitter);
    } finally {
      isAsking = false;
    }
  });
}
