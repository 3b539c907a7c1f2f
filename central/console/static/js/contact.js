// Pages without a stream: whether central still answers, and that nothing typed is lost when it does not.
//
// They ask for a small file while somebody looks at them; that is no sign of life of a person, so it keeps nobody
// signed in. A form is sent only after central has answered: a browser would put a page of its own in its place.

import { look, signInAgain } from './again.js';

const ASK_EVERY_MS = 5000;
const LOST_AFTER_MS = 12_000;
const box = document.querySelector('#lost.page-lost');
const passed = new WeakSet();
const typedFor = new Set(); // a part that was fetched meanwhile holds what was typed as if it had always stood there
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

async function ask() {
  const answer = await fetch('/static/brand.svg', { method: 'HEAD', cache: 'no-store', signal: AbortSignal.timeout(4000) }).catch(() => null);
  if (answer?.ok) heard();
  else if (performance.now() - heardAt > LOST_AFTER_MS) lose();
}

/** Whether there is something to lose. Ticks and choices are made again in a moment. */
function hasTyped(form) {
  return typedFor.has(form.action) || [...form.elements].some((field) => field.matches('textarea, input:not([type="radio"], [type="checkbox"], [type="hidden"])') && field.value !== field.defaultValue);
}

/** Sends the form when somebody is there to take it, with the token of the session as it is now. */
async function send(form, submitter) {
  const state = await look();
  if (state === 'out') return signInAgain(); // then it is theirs to send
  if (state === 'lost') {
    lose();
    box.scrollIntoView({ block: 'nearest' });
  }
  if (state !== 'in') return;
  heard();
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
  document.addEventListener('input', (event) => { if (event.target.form) typedFor.add(event.target.form.action); });
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
