// Shortcuts. Single keys can be switched off; arrows, Enter and Esc work as everywhere.

import * as acts from './acts.js';
import * as pane from './pane.js';
import * as queue from './queue.js';
import { runUndo } from './toast.js';

const hasSingleKeys = document.body.dataset.keys === 'yes';
const SINGLE = {
  n: () => pane.takeNext(),
  t: () => pane.press('claim'),
  d: () => (document.querySelector('.a-acts [data-open="dispatch-dialog"]') ? acts.open('dispatch-dialog') : pane.press('on-the-way')),
  c: () => acts.call(),
  h: () => acts.open('offer-dialog'),
  o: () => pane.press('outcome'),
  j: () => document.querySelector('#alarm-summary:not([hidden]) #summary-copy')?.click(),
  z: () => runUndo(),
  '?': () => document.getElementById('help').showModal(),
};

function isTyping(target) {
  return target.closest('input:not([type=radio]), textarea, select, [contenteditable]');
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (document.querySelector('dialog[open]')) return;
  if (event.key === 'Escape') {
    if (isTyping(event.target) || event.target.closest('#close-form')) {
      event.target.blur();
      pane.hideForm();
    } else if (document.getElementById('menu')?.open) document.getElementById('menu').open = false;
    else if (pane.current()) pane.close();
    return;
  }
  if (isTyping(event.target)) return;
  if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && !event.target.closest('input')) {
    event.preventDefault();
    queue.move(event.key === 'ArrowDown' ? 1 : -1);
    return;
  }
  const action = SINGLE[event.key.toLowerCase()];
  if (!action || !hasSingleKeys || event.repeat) return;
  event.preventDefault();
  action();
});
