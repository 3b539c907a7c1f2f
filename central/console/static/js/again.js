// Signed out in the middle of something: the same person comes back in on the page as it stands, and nothing on it is
// lost. What they pressed is not done for them: they press again. For anybody else the page is left.

const dialog = document.getElementById('again');
const fault = document.getElementById('again-fault');
const said = document.getElementById('again-said');
let waiting = null; // {promise, settle, isIn} while the dialog is open

async function session(method, body) {
  try {
    return await fetch('/api/v1/session', {
      method,
      cache: 'no-store',
      headers: body ? { 'Content-Type': 'application/json' } : {},
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
  } catch {
    return null;
  }
}

/** The page goes on with the session as it is now; as somebody else's it does not go on. */
function goOn({ account, csrf }) {
  if (account !== document.body.dataset.me) {
    location.replace('/');
    return false;
  }
  document.body.dataset.csrf = csrf;
  for (const field of document.querySelectorAll('input[name="csrf"]')) field.value = csrf;
  return true;
}

/** Whether who opened this page is still signed in: `in`, `out`, `other`, or `lost` when nobody answers. */
export async function look() {
  const answer = await session('GET');
  if (answer?.status === 401) return 'out';
  if (!answer?.ok) return 'lost';
  return goOn(await answer.json()) ? 'in' : 'other';
}

function tell(text) {
  fault.textContent = text;
  fault.hidden = !text;
}

function done() {
  if (waiting) waiting.isIn = true;
  dialog.close();
  said.textContent = said.dataset.text;
  said.hidden = false;
  said.classList.add('toast');
  setTimeout(() => {
    said.hidden = true;
    said.classList.remove('toast');
  }, 10_000);
  document.dispatchEvent(new Event('vaktpost:again'));
}

/** Asks for the password, once, whoever wants it. Fulfilled with whether the same person is in again. */
export function signInAgain() {
  if (waiting) return waiting.promise;
  waiting = { isIn: false };
  waiting.promise = new Promise((settle) => { waiting.settle = settle; });
  tell('');
  dialog.showModal();
  dialog.querySelector('input:not([readonly]), [type="submit"]').focus();
  return waiting.promise;
}

/** After an answer that says so: signed out, or signed in anew in another window. Whether one can press again. */
export async function comeBack() {
  const state = await look();
  if (state === 'out') return signInAgain();
  if (state === 'in') done();
  return state === 'in';
}

async function tryPassword(form) {
  const { name, password } = Object.fromEntries(new FormData(form));
  if (password === undefined) return (await look()) === 'in' ? done() : tell(fault.dataset.notYet);
  const answer = await session('POST', { name, password });
  form.elements.namedItem('password').value = '';
  if (answer?.ok) return goOn(await answer.json()) && done();
  if (answer?.status === 429) tell(fault.dataset.wait.replace('{n}', answer.headers.get('retry-after') ?? ''));
  else tell(answer?.status === 401 ? fault.dataset.wrong : fault.dataset.lost);
  form.elements.namedItem('password').focus();
}

dialog?.addEventListener('submit', (event) => {
  event.preventDefault();
  event.stopPropagation();
  tryPassword(event.target);
});
dialog?.addEventListener('click', (event) => { if ('later' in event.target.dataset) dialog.close(); });
dialog?.addEventListener('close', () => {
  const { settle, isIn } = waiting;
  waiting = null;
  settle(isIn);
});
/** Signed in meanwhile, in another window. */
export async function goOnIfIn() {
  if (!document.hidden && (await look()) === 'in') done();
}

document.addEventListener('visibilitychange', () => { if (waiting) goOnIfIn(); });
