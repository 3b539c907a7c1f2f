// Buttons that need central, while there is no contact: they look as if they cannot be pressed, and say why.

import { t } from './words.js';

const NEEDS_CONTACT = '[data-act]:not([data-act="help"], [data-act="outcome"]), [data-post], [data-open], form[data-post] [type="submit"]';
const halted = new Map(); // button → how it was

function halt(button) {
  if (halted.has(button)) return;
  const hint = button.closest('.big4') ? button.querySelector('small') : null;
  halted.set(button, { off: button.getAttribute('aria-disabled'), isNext: button.classList.contains('primary'), title: button.title, text: hint?.textContent });
  button.setAttribute('aria-disabled', 'true');
  button.classList.remove('primary');
  button.title = t('live.needs_contact');
  if (hint) hint.textContent = t('live.needs_contact');
  else if (button.closest('.big4')) button.append(Object.assign(document.createElement('small'), { textContent: t('live.needs_contact') }));
}

/** All of the open alarm; again after something was put into the page. */
export function haltAll() {
  for (const button of document.querySelectorAll('#alarm button')) if (button.matches(NEEDS_CONTACT)) halt(button);
}

/** As they were; what has changed meanwhile comes with the next update. */
export function resume() {
  for (const [button, was] of halted) {
    if (was.off === null) button.removeAttribute('aria-disabled');
    else button.setAttribute('aria-disabled', was.off);
    button.classList.toggle('primary', was.isNext);
    button.title = was.title;
    const hint = button.closest('.big4')?.contains(button) ? button.querySelector('small') : null;
    if (hint && was.text === undefined) hint.remove();
    else if (hint) hint.textContent = was.text;
  }
  halted.clear();
}
