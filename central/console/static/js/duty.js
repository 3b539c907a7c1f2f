// Going on duty: one click unlocks the sound, plays it, and asks whether anybody heard it.

import * as sound from './sound.js';
import { consoleId, post } from './server.js';
import { t } from './words.js';

const button = document.getElementById('duty');
const gate = document.getElementById('gate');
const leave = document.getElementById('leave');
let state = 'off';
let isLost = false;
let wake = null;
const listeners = [];

export const isOn = () => state === 'on';
export const onChange = (listener) => listeners.push(listener);

function paint() {
  const lost = isLost && state === 'on';
  button.classList.toggle('on', state === 'on' && !lost);
  button.classList.toggle('off', state !== 'on' || lost);
  button.classList.toggle('calmly', state !== 'on' && !isLost);
  button.querySelector('.duty-text').textContent = t(lost ? 'duty.lost' : state === 'on' ? 'duty.on' : 'duty.go');
  button.querySelector('.duty-hint').textContent = t(lost ? 'duty.lost_hint' : state === 'on' ? 'duty.on_hint' : 'duty.off_hint');
}

export function setLost(on) {
  isLost = on;
  paint();
}

async function set(next) {
  state = next;
  paint();
  for (const listener of listeners) listener(state === 'on');
  if (state === 'on') {
    sessionStorage.setItem('vaktpost.duty', 'on');
    wake = (await navigator.wakeLock?.request('screen').catch(() => null)) ?? null;
  } else {
    sessionStorage.removeItem('vaktpost.duty');
    wake?.release();
  }
  await post('/api/v1/duty', { console: consoleId, has_sound: state === 'on' });
}

/** After a reconnect the server has forgotten who is on duty. */
export const tellAgain = () => { if (state === 'on') post('/api/v1/duty', { console: consoleId, has_sound: true }); };

button.addEventListener('click', () => (state === 'on' ? leave : gate).showModal());
gate.querySelector('#gate-play').addEventListener('click', async () => {
  gate.querySelector('#gate-hint').hidden = true;
  await sound.unlock();
  sound.play('1');
  gate.querySelector('#gate-heard').hidden = false;
  gate.querySelector('#gate-play').classList.remove('primary');
  gate.querySelector('#gate-yes').focus();
});
gate.querySelector('#gate-yes').addEventListener('click', () => {
  gate.close();
  set('on');
});
gate.querySelector('#gate-no').addEventListener('click', () => { gate.querySelector('#gate-hint').hidden = false; });
gate.addEventListener('close', () => {
  gate.querySelector('#gate-heard').hidden = true;
  gate.querySelector('#gate-hint').hidden = true;
  gate.querySelector('#gate-play').classList.add('primary');
});
leave.querySelector('#leave-yes').addEventListener('click', () => {
  leave.close();
  set('off');
});
document.addEventListener('visibilitychange', async () => {
  if (!document.hidden && state === 'on') wake = (await navigator.wakeLock?.request('screen').catch(() => null)) ?? wake;
});

// A reload silences a page until somebody clicks again: say so instead of looking on duty.
if (sessionStorage.getItem('vaktpost.duty') === 'on') gate.showModal();
paint();
