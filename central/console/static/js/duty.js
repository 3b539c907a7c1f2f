// Going on duty: for which teams; then one click unlocks the sound, plays it, and asks whether anybody heard it.

import * as sound from './sound.js';
import { consoleId, get, post } from './server.js';
import { t } from './words.js';

const button = document.getElementById('duty');
const gate = document.getElementById('gate');
const leave = document.getElementById('leave');
const TEAMS = `vaktpost.teams.${document.body.dataset.me}`; // what this person took here last time
let state = 'off';
let teams = null; // {id, name} of those taken; null: there are none to choose
let isLost = false;
let isSilent = false; // on duty until the device took the sound away
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
  button.querySelector('.duty-hint').textContent = lost ? t('duty.lost_hint')
    : state !== 'on' ? t('duty.off_hint')
    : teams?.length ? teams.map((team) => team.name).join(', ') : t('duty.on_hint');
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
  await tell();
  document.dispatchEvent(new Event('vaktpost:duty'));
}

const tell = () => post('/api/v1/duty', { console: consoleId, has_sound: state === 'on', ...(teams ? { teams: teams.map((team) => team.id) } : {}) });

/** After a reconnect the server has forgotten who is on duty. */
export const tellAgain = () => { if (state === 'on') tell(); };

const boxes = () => [...gate.querySelectorAll('#gate-teams input')];

/** The gate opens at once; which teams there are, and who else has them, is asked for at that moment. */
async function openGate() {
  gate.showModal();
  const answer = await get('/parts/gate');
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(answer.content, 'text/html').getElementById('gate-teams');
  const last = JSON.parse(localStorage.getItem(TEAMS) ?? 'null');
  gate.querySelector('#gate-teams').replaceWith(document.adoptNode(fresh));
  if (last?.some((id) => boxes().some((box) => box.value === id))) for (const box of boxes()) box.checked = last.includes(box.value);
}

/** The teams that are ticked; null where there are none to choose. */
function chosen() {
  const all = boxes();
  return all.length ? all.filter((box) => box.checked).map((box) => ({ id: box.value, name: box.dataset.name })) : null;
}

button.addEventListener('click', () => (state === 'on' ? leave.showModal() : openGate()));
gate.addEventListener('change', () => { gate.querySelector('#gate-none').hidden = true; });
gate.querySelector('#gate-play').addEventListener('click', async () => {
  isSilent = false;
  gate.querySelector('#gate-hint').hidden = true;
  await sound.unlock();
  sound.play('1');
  gate.querySelector('#gate-heard').hidden = false;
  gate.querySelector('#gate-play').classList.remove('primary');
  gate.querySelector('#gate-yes').focus();
});
gate.querySelector('#gate-yes').addEventListener('click', () => {
  const wanted = chosen();
  if (wanted && !wanted.length) {
    gate.querySelector('#gate-none').hidden = false;
    boxes()[0].focus();
    return;
  }
  teams = wanted;
  if (teams) localStorage.setItem(TEAMS, JSON.stringify(teams.map((team) => team.id)));
  gate.close();
  set('on');
});
gate.querySelector('#gate-no').addEventListener('click', () => { gate.querySelector('#gate-hint').hidden = false; });
gate.addEventListener('close', () => {
  gate.querySelector('#gate-silent').hidden = true;
  isSilent = false;
  gate.querySelector('#gate-heard').hidden = true;
  gate.querySelector('#gate-none').hidden = true;
  gate.querySelector('#gate-hint').hidden = true;
  gate.querySelector('#gate-play').classList.add('primary');
});
// A console that cannot be heard covers nobody, whatever it says: others are asked until the sound is back.
sound.onChange((isHeard) => {
  if (!isHeard && state === 'on') {
    isSilent = true;
    leave.close();
    set('off');
    openGate();
    gate.querySelector('#gate-silent').hidden = false;
  } else if (isHeard && isSilent) {
    isSilent = false;
    gate.close();
    set('on');
  }
});
leave.querySelector('#leave-yes').addEventListener('click', () => {
  leave.close();
  set('off');
});
document.addEventListener('visibilitychange', async () => {
  if (!document.hidden && state === 'on') wake = (await navigator.wakeLock?.request('screen').catch(() => null)) ?? wake;
});

// A reload silences a page until somebody clicks again: say so instead of looking on duty.
if (sessionStorage.getItem('vaktpost.duty') === 'on') openGate();
paint();
