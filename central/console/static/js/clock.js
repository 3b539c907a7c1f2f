// Time as the server has it: ages tick by its clock, not by the computer's.

import { t } from './words.js';

const body = document.body.dataset;
let offset = Number(body.now ?? Date.now()) - Date.now();
let isFrozen = false;
let frozenAt = 0;

const shape = new Intl.DateTimeFormat('nb', { timeZone: body.zone || undefined, hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });

export const now = () => Date.now() + offset;
export const setNow = (serverMs) => { offset = serverMs - Date.now(); };
export const clockOf = (ms) => shape.format(ms).replaceAll('.', ':');

/** 0:09, 1:45, 72:10; then 4 h, 3 d. The same as central/console/figures.py. */
export function age(sinceMs, untilMs) {
  const seconds = Math.floor(Math.max(0, untilMs - sinceMs) / 1000);
  if (seconds < 3 * 3600) return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  if (seconds < 72 * 3600) return `${Math.floor(seconds / 3600)} ${t('time.unit_h')}`;
  return `${Math.floor(seconds / 86400)} ${t('time.unit_d')}`;
}

/** Ages of other people's alarms stand still while there is no contact: they would claim to know. */
export function freeze(on) {
  isFrozen = on;
  frozenAt = now();
}

export function tick(root = document) {
  const at = now();
  for (const box of root.querySelectorAll('[data-since]')) {
    const isMine = box.closest('.q.mine, #alarm-live[data-mine="yes"]');
    const until = isFrozen && !isMine ? frozenAt : at;
    const text = age(Number(box.dataset.since), until);
    const figure = box.querySelector('.figure');
    if (figure && figure.textContent !== text) figure.textContent = text;
    if (box.dataset.goal !== 'yes') continue;
    const share = Math.min(1, (until - Number(box.dataset.since)) / Number(body.goal));
    box.querySelector('.goal > i')?.style.setProperty('--v', `${Math.max(0, share) * 100}%`);
    const isOver = share >= 1;
    if (box.classList.toggle('over', isOver) && isOver) box.querySelector('small').textContent = t('queue.over_goal');
  }
  const clock = document.getElementById('clock');
  if (clock) {
    const [hour, minute, second] = clockOf(at).split(':');
    clock.firstChild.textContent = `${hour}:${minute}`;
    clock.lastElementChild.textContent = `:${second}`;
  }
}

// After all modules have looked at the page as it came.
queueMicrotask(() => tick());
setTimeout(function aligned() {
  tick();
  setTimeout(aligned, 1000 - ((now() % 1000) || 0));
}, 200);
