// Hand over, send somebody, call, take over: buttons that post, and dialogs with a form that does.

import * as pane from './pane.js';
import * as queue from './queue.js';
import { fillChoices } from './choices.js';
import { post } from './server.js';
import { say } from './toast.js';
import { t } from './words.js';

const main = document.getElementById('main');
const isOff = (button) => button.getAttribute('aria-disabled') === 'true';

async function send(element, body) {
  if (document.body.classList.contains('lost')) {
    say(t('toast.no_contact'), { warn: true });
    return false;
  }
  const alarm = pane.current()?.dataset.alarm;
  const answer = await post(element.dataset.post, body);
  if (answer.ok) say(t(`toast.${element.dataset.said}`));
  else pane.refuse(answer);
  queue.refresh();
  pane.update(alarm);
  return answer.ok;
}

/** Where there is one patrol and no more, there is nothing to choose: Enter sends it. */
function skipOnlyChoice(dialog) {
  const list = document.activeElement;
  if (list?.form && dialog.contains(list) && list.options?.length === 1) dialog.querySelector('[type=submit]').focus();
}

/** Open a dialog of the open alarm, as its button or its key does. */
export function open(id) {
  const button = pane.current()?.querySelector(`[data-open="${id}"]`);
  const dialog = document.getElementById(id);
  if (!button || isOff(button) || !dialog) return;
  if (button.dataset.to) dialog.querySelector('form').dataset.post = button.dataset.to;
  dialog.showModal();
  dialog.querySelector('[data-first]')?.focus();
  fillChoices(dialog).then(() => skipOnlyChoice(dialog));
}

function bodyOf(form) {
  const body = {};
  for (const [name, value] of new FormData(form)) body[name] = value;
  const chosen = form.elements.namedItem('to')?.selectedOptions?.[0];
  if (chosen) {
    delete body.to;
    if (chosen.dataset.field) body[chosen.dataset.field] = chosen.value;
  }
  if ('words' in body) { // a reason in one's own words goes before the one from the list
    body.reason = body.words.trim() || body.reason;
    delete body.words;
  }
  return body;
}

/** A number is called outside; here it is asked at once what came of it. */
export function call({ called, contact = '', whom = '' } = {}) {
  const dialog = document.getElementById('call-dialog');
  if (!dialog) return;
  const form = dialog.querySelector('form');
  form.reset();
  form.elements.namedItem('contact').value = contact;
  if (called) form.elements.namedItem('called').value = called;
  const line = dialog.querySelector('#call-whom');
  line.textContent = whom;
  line.hidden = !whom;
  dialog.querySelector('fieldset').hidden = Boolean(whom);
  open('call-dialog');
}

main.addEventListener('change', (event) => {
  const form = event.target.name === 'called' ? event.target.form : null;
  if (form?.elements.namedItem('contact')) form.elements.namedItem('contact').value = '';
});

main.addEventListener('click', (event) => {
  const number = event.target.closest('[data-call]');
  if (number) return call({ called: number.dataset.call, contact: number.dataset.contact, whom: number.dataset.whom });
  const button = event.target.closest('button');
  if (!button || isOff(button)) return;
  if (button.dataset.open === 'call-dialog') call();
  else if (button.dataset.open) open(button.dataset.open);
  else if (button.dataset.post) send(button);
  else if ('close' in button.dataset) button.closest('dialog').close();
});

main.addEventListener('submit', async (event) => {
  const form = event.target;
  if (!form.dataset.post) return;
  event.preventDefault();
  const missing = [...form.elements].find((field) => field.required && (!field.value.trim() || !field.checkValidity()));
  if (missing) return missing.focus();
  if (form.dataset.sending) return;
  form.dataset.sending = 'yes';
  const body = bodyOf(form);
  const isSent = await send(form, body);
  delete form.dataset.sending;
  if (!isSent) return;
  form.reset();
  form.closest('dialog')?.close();
  main.dispatchEvent(new CustomEvent('vaktpost:sent', { detail: { form, body } })); // the form may be gone by now
});
