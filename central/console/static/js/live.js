// Whether we are in contact, and what happens when we are not: a banner, a tone, and nothing that looks up to date.

import * as clock from './clock.js';
import { haltAll, resume } from './halted.js';
import * as duty from './duty.js';
import * as queue from './queue.js';
import { consoleId, get } from './server.js';
import { comeBack, goOnIfIn } from './again.js';
import { t } from './words.js';

const TICKS = 12;
const BEAT_MS = 5000;
const beat = document.getElementById('beat');
const lostBox = document.getElementById('lost');
const worker = new Worker('/static/js/feed-worker.js');
const listeners = [];

let lastBeatAt = null;
let missed = 0;
let isEnded = false;

export const isLost = () => document.body.classList.contains('lost');
export const onEvent = (listener) => listeners.push(listener);

function tick(kind) {
  const ticks = beat.querySelector('.ticks');
  const next = document.createElement('i');
  if (kind) next.className = kind;
  ticks.append(next);
  while (ticks.children.length > TICKS) ticks.firstElementChild.remove();
}

let lastSilence = 0;

function second(silence, ever) {
  lastSilence = silence;
  const seconds = Math.floor(silence / 1000);
  const text = beat.querySelector('.beat-text');
  if (isLost()) text.textContent = t('live.no_contact', { n: seconds });
  else text.textContent = ever ? t('live.connected', { n: seconds }) : t('live.connecting');
  const due = Math.floor((silence - 2000) / BEAT_MS);
  while (ever && missed < due) {
    missed += 1;
    tick('miss');
  }
  if (!isLost() || isEnded) return;
  for (const mark of document.querySelectorAll('.stale-mark')) {
    mark.hidden = false;
    mark.textContent = lastBeatAt ? t('live.stale', { time: clock.clockOf(lastBeatAt), n: seconds }) : t('live.stale_never');
  }
  lostBox.querySelector('.lost-text').textContent = lastBeatAt
    ? t('live.lost_text', { time: clock.clockOf(lastBeatAt), n: seconds })
    : t('live.lost_never');
}

function lose() {
  document.body.classList.add('lost');
  document.querySelector('.pane.left')?.classList.add('stale-cover');
  beat.classList.add('lost');
  lostBox.hidden = false;
  lostBox.setAttribute('role', 'alert');
  clock.freeze(true);
  duty.setLost(true);
  for (const head of document.querySelectorAll('.waits')) {
    head.textContent = t('queue.waited', { time: clock.clockOf(lastBeatAt ?? clock.now()) });
  }
  document.getElementById('take-next')?.setAttribute('aria-disabled', 'true');
  haltAll();
  second(lastSilence, lastBeatAt !== null);
  for (const listener of listeners) listener({ name: 'lost' });
}

function back() {
  document.body.classList.remove('lost');
  document.querySelector('.pane.left')?.classList.remove('stale-cover');
  beat.classList.remove('lost');
  lostBox.hidden = true;
  lostBox.removeAttribute('role');
  clock.freeze(false);
  duty.setLost(false);
  duty.tellAgain();
  for (const head of document.querySelectorAll('.waits')) head.textContent = t('queue.waiting');
  for (const mark of document.querySelectorAll('.stale-mark')) mark.hidden = true;
  resume();
}

function ended() {
  isEnded = true;
  lose();
  lostBox.querySelector('.lost-title').textContent = t('live.ended_title');
  lostBox.querySelector('.lost-text').textContent = t('live.ended_text');
  lostBox.querySelector('#try-now').textContent = t('live.sign_in');
}

function start() {
  const where = `/api/v1/feed?console=${consoleId}&sound=${duty.isOn()}`;
  worker.postMessage({ name: 'open', where: new URL(where, location.href).href, after: queue.feedNo() });
}

worker.onmessage = async ({ data }) => {
  if (data.name === 'second') return second(data.silence, data.ever);
  if (data.name === 'lost') return lose();
  if (data.name === 'back') back();
  if (data.name === 'ended') return ended();
  if (data.name === 'refused') {
    const answer = await get('/api/v1/session');
    if (answer.status === 401) ended();
    return;
  }
  if (data.name === 'beat') {
    lastBeatAt = data.at_ms;
    clock.setNow(data.at_ms);
    missed = 0;
    tick('');
  }
  for (const listener of listeners) listener(data);
};

document.getElementById('try-now').addEventListener('click', () => (isEnded ? comeBack() : start()));
document.addEventListener('visibilitychange', () => { if (isEnded) goOnIfIn(); });
document.addEventListener('vaktpost:again', () => {
  isEnded = false;
  lostBox.querySelector('.lost-title').textContent = t('live.lost_title');
  lostBox.querySelector('#try-now').textContent = t('live.try_now');
  start();
});
// The stream says whether somebody hears here: whichever process of central has it must know, also after a reconnect.
duty.onChange(start);
document.addEventListener('htmx:after:swap', () => { if (isLost()) haltAll(); });
addEventListener('offline', () => get('/api/v1/session'));
start();
