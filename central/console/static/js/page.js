// Every page: the menu closes when one clicks beside it, colours change at once, and text can be copied and printed.

import './contact.js';
import { comeBack } from './again.js';
import './seek.js';

/** Over plain HTTP browsers have no clipboard for scripts: then the text is selected and copied as by hand. */
async function copied(node) {
  let isDone = await navigator.clipboard?.writeText(node.textContent).then(() => true, () => false) ?? false;
  if (!isDone) {
    const field = document.createElement('textarea');
    field.value = node.textContent;
    field.className = 'vh';
    const focused = document.activeElement;
    document.body.append(field);
    field.select();
    isDone = document.execCommand('copy');
    field.remove();
    focused?.focus({ preventScroll: true });
  }
  return isDone;
}

/** Said beside the button: a toast would push away the offer to undo. */
async function tell(button) {
  const isDone = await copied(document.getElementById(button.dataset.copy));
  let said = button.nextElementSibling;
  if (!said?.matches('.copied')) {
    said = document.createElement('span');
    said.className = 'copied hint';
    said.setAttribute('role', 'status');
    button.after(said);
  }
  said.textContent = isDone ? button.dataset.said ?? '✓' : '✗';
  setTimeout(() => said.remove(), 4000);
}

/** Colours change where one is: a page that is loaded anew would have lost its sound. */
function recolour(event) {
  const form = event.target.closest('#theme');
  if (!form || !event.submitter) return;
  event.preventDefault();
  const wish = event.submitter.value;
  if (wish === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = wish;
  for (const button of form.querySelectorAll('button')) button.setAttribute('aria-pressed', String(button === event.submitter));
  const fields = new URLSearchParams(new FormData(form));
  fields.set('theme', wish);
  fetch(form.action, { method: 'POST', body: fields, redirect: 'manual' });
}

document.addEventListener('submit', recolour);
addEventListener('beforeprint', () => {
  for (const folded of document.querySelectorAll('#alarm-summary details')) folded.open = true;
});
document.addEventListener('click', (event) => {
  const menu = document.getElementById('menu');
  if (menu?.open && !menu.contains(event.target)) menu.open = false;
  const button = event.target.closest('[data-copy]');
  if (button) tell(button);
  if (event.target.closest('[data-print]')) print();
});
document.addEventListener('keydown', (event) => {
  const menu = document.getElementById('menu');
  if (event.key === 'Escape' && menu?.open) menu.open = false;
});
document.addEventListener('htmx:response:error', (event) => {
  if ([401, 419].includes(event.detail.ctx.response.status)) comeBack();
});
