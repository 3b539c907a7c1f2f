// Short messages at the lower right, one of them with an undo for ten seconds.

import { t } from './words.js';

const box = document.getElementById('toasts');
let current = null;

function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('class', 'i');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `/static/icons.svg#i-${name}`);
  svg.append(use);
  return svg;
}

function drop() {
  clearInterval(current?.timer);
  current?.node.remove();
  current = null;
}

/** Says something. `undo` is what Z or the button does. `beside`: what can still be undone stays. */
export function say(text, { undo = null, seconds = 6, warn = false, beside = false } = {}) {
  if (!beside) drop();
  const node = document.createElement('div');
  node.className = warn ? 'toast warn' : 'toast';
  const words = document.createElement('span');
  words.textContent = text;
  node.append(words);
  let left = seconds;
  const button = document.createElement('button');
  button.type = 'button';
  if (undo) {
    button.className = 'btn sm';
    button.id = 'undo';
    const label = document.createElement('span');
    const key = document.createElement('span');
    key.className = 'kbd';
    key.textContent = 'Z';
    button.append(icon('undo'), label, key);
    button.addEventListener('click', runUndo);
    label.textContent = t('toast.undo', { n: left });
  } else {
    button.className = 'btn sm icon';
    button.setAttribute('aria-label', t('toast.dismiss'));
    button.append(icon('x'));
    button.addEventListener('click', () => end());
  }
  node.append(button);
  node.style.setProperty('--left', '1');
  box.append(node);
  const timer = setInterval(() => {
    left -= 1;
    if (left <= 0) return end();
    node.style.setProperty('--left', String(left / seconds));
    if (undo) button.querySelector('span').textContent = t('toast.undo', { n: left });
  }, 1000);
  const said = { node, timer, undo };
  if (!beside) current = said;
  function end() {
    clearInterval(timer);
    node.remove();
    if (current === said) current = null;
  }
}

export function runUndo() {
  const undo = current?.undo;
  if (!undo) return false;
  drop();
  undo();
  return true;
}
