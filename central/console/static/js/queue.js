// The list: fetched as HTML after every change, and put in place without moving what somebody aims at.

import * as clock from './clock.js';
import * as title from './title.js';
import { get } from './server.js';
import { t, count } from './words.js';

const box = document.getElementById('queue');
const heldBar = document.getElementById('held');
const tabs = document.getElementById('tabs');
const listeners = [];

export const list = () => box.querySelector('ul.queue');

export let view = document.body.dataset.view;
let limit = Number(list().dataset.limit);
let isBusy = false;
let isDirty = false;
let held = null;

export const rows = () => [...box.querySelectorAll('li[data-alarm]')];
export const openRows = () => rows().filter((row) => row.dataset.stage !== 'closed');
/** Also those of a list that waits to be put in place: an alarm sounds although nobody may see it move. */
export const knownRows = () => [...(held ?? list()).querySelectorAll('li[data-alarm]:not([data-stage="closed"])')];
/** What may sound, whichever tab is shown: central says so with every list. */
export const bells = () => JSON.parse((held ?? list()).dataset.bells || '[]');
export const row = (id) => box.querySelector(`li[data-alarm="${CSS.escape(id)}"]`);
export const onChange = (listener) => listeners.push(listener);
export const digest = () => list().dataset.digest;
export const feedNo = () => Number(list().dataset.feed);

/** Fetch the list again. Several wishes while one is under way become one more. */
export async function refresh() {
  if (isBusy) {
    isDirty = true;
    return;
  }
  isBusy = true;
  try {
    do {
      isDirty = false;
      const wanted = view;
      const answer = await get(`/parts/queue?view=${wanted}&limit=${limit}`);
      if (!answer.ok) return;
      if (wanted !== view) {
        isDirty = true;
        continue;
      }
      const parsed = new DOMParser().parseFromString(answer.content, 'text/html').querySelector('ul.queue');
      if (parsed) place(document.adoptNode(parsed));
    } while (isDirty);
  } finally {
    isBusy = false;
  }
}

export function show(next) {
  view = next;
  limit = 1; // as many as at first
  release();
  for (const tab of tabs?.querySelectorAll('.tab') ?? []) {
    if (tab.dataset.view === next) tab.setAttribute('aria-current', 'page');
    else tab.removeAttribute('aria-current');
  }
  history.replaceState(history.state, '', `/?view=${next}`);
  return refresh();
}

const sourceOf = new WeakMap();
const source = (node) => sourceOf.get(node) ?? node.outerHTML;

// Where there are only fingers, `:hover` stays on what was touched last, also when a dialog lay above it.
const HAS_POINTER = matchMedia('(hover: hover)');

/** The row that somebody points at or has the focus on: it stays where it is. */
function anchor() {
  const focused = document.activeElement?.closest?.('#queue li');
  return focused ?? (HAS_POINTER.matches ? box.querySelector('li[data-alarm]:hover') : null);
}

/** The nodes of a fresh list, with those kept that say the same: focus and pointer stay on them. */
function merge(fresh) {
  const known = new Map([...list().children].map((node) => [node.dataset.key, node]));
  return [...fresh.children].map((node) => {
    const kept = known.get(node.dataset.key);
    const html = node.outerHTML;
    if (kept && source(kept) === html) return kept;
    sourceOf.set(node, html);
    return node;
  });
}

function place(fresh) {
  const spare = fresh.cloneNode(true); // trying the new order takes the nodes out of `fresh`
  const known = new Set([...list().children].map((node) => node.dataset.key));
  const next = merge(fresh);
  const aimed = anchor();
  if (aimed && wouldMove(list(), next, aimed)) {
    held = spare;
    const added = next.filter((node) => node.dataset.waiting && !known.has(node.dataset.key)).length;
    heldBar.hidden = false;
    heldBar.querySelector('span').textContent = added ? count('queue.new_above', added) : t('queue.changed');
  } else {
    held = null;
    heldBar.hidden = true;
    put(fresh, next);
  }
  totals(fresh);
  for (const listener of listeners) listener();
}

/** Tries the new order, looks where the row went, and puts the old one back if it moved. */
function wouldMove(stale, next, aimed) {
  const before = [...stale.children];
  const top = aimed.getBoundingClientRect().top;
  const focused = document.activeElement;
  const twin = next.find((node) => node.dataset.key === aimed.dataset.key);
  if (!twin) return false; // it is gone: there is nothing to hold still
  stale.replaceChildren(...next);
  const moved = Math.abs(twin.getBoundingClientRect().top - top) > 1;
  stale.replaceChildren(...before);
  if (stale.contains(focused)) focused.focus({ preventScroll: true });
  return moved;
}

function put(fresh, next) {
  const stale = list();
  const focused = document.activeElement?.closest?.('#queue li')?.dataset.key;
  const wanted = new Set(next);
  for (const node of [...stale.children]) if (!wanted.has(node)) node.remove();
  let cursor = stale.firstElementChild;
  for (const node of next) {
    if (node === cursor) {
      cursor = cursor.nextElementSibling;
      continue;
    }
    stale.insertBefore(node, cursor);
    window.htmx?.process(node);
  }
  for (const name of Object.keys(fresh.dataset)) stale.dataset[name] = fresh.dataset[name];
  if (focused && !stale.contains(document.activeElement)) {
    stale.querySelector(`[data-key="${CSS.escape(focused)}"] a`)?.focus({ preventScroll: true });
  }
  clock.tick(stale);
  mark();
}

/** Puts a held list in place: somebody asked for it, or nobody aims any more. */
export function release() {
  heldBar.hidden = true;
  if (!held) return;
  const fresh = held;
  held = null;
  put(fresh, merge(fresh));
  for (const listener of listeners) listener();
}

function totals(fresh) {
  const [alarms, mine, technical] = fresh.dataset.counts.split(' ');
  const texts = { alarms, mine, technical };
  for (const tab of tabs?.querySelectorAll('.tab') ?? []) {
    const label = tab.querySelector('.count');
    label.textContent = texts[tab.dataset.view];
    if (tab.dataset.view === 'alarms') label.classList.toggle('hot', fresh.dataset.hot === 'yes');
  }
  const waiting = view === 'technical' ? technical : alarms;
  document.getElementById('take-next')?.setAttribute('aria-disabled', String(Number(waiting) === 0));
  title.waiting(Number(alarms));
}

/** Shows which row is open beside the list. */
export function mark() {
  const open = document.getElementById('alarm')?.dataset.alarm;
  for (const item of rows()) item.firstElementChild.classList.toggle('open', item.dataset.alarm === open);
}

export function move(step) {
  const links = rows().map((item) => item.firstElementChild);
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  links[Math.min(links.length - 1, Math.max(0, at < 0 ? 0 : at + step))].focus();
}

for (const node of list().children) sourceOf.set(node, node.outerHTML);
box.addEventListener('click', (event) => {
  const more = event.target.closest('[data-more]');
  if (!more || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  limit = Number(more.dataset.more);
  refresh().then(release);
});
box.addEventListener('pointerleave', () => { if (!anchor()) release(); });
box.addEventListener('focusout', () => setTimeout(() => { if (!anchor()) release(); }));
document.getElementById('held-show').addEventListener('click', () => {
  release();
  box.scrollTo({ top: 0 });
});
tabs?.addEventListener('click', (event) => {
  const tab = event.target.closest('.tab');
  if (!tab || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  show(tab.dataset.view);
});
mark();
title.waiting(Number(list().dataset.counts.split(' ')[0]));
