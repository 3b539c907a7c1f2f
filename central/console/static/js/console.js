// The queue page: joins the list, the open alarm, the stream, the sound and the keys.

import './page.js';
import './acts.js';
import './beside.js';
import './keys.js';
import './notes.js';
import * as duty from './duty.js';
import * as live from './live.js';
import * as pane from './pane.js';
import * as queue from './queue.js';
import * as sound from './sound.js';
import { consoleId, post } from './server.js';
import { say } from './toast.js';
import { t } from './words.js';

const RENEW_MS = 25_000;
const isCompact = document.body.dataset.compact === 'yes';
const heardOf = new Map(); // bell → sound number that was opened here
const shownOf = new Set();
const announced = new Set(queue.rows().map((row) => row.dataset.alarm));
const SAID = { asks: 'toast.asked', off: 'toast.called_off', alone: 'toast.alone' };
const told = new Set(queue.bells().filter((bell) => SAID[bell.why]).map((bell) => bell.key));
const STORMY = new Set(['technical', 'incident']);
const STORM_MS = 2000;
let calmTimer = 0;
let stormTimer = 0;

/** Tell central that a person has it before them; not from a window that nobody sees. */
function markShown() {
  if (document.visibilityState !== 'visible') return;
  for (const row of queue.openRows()) {
    const id = row.dataset.opens;
    // Who is asked about an alarm that was here before, or sent to it, sees it anew.
    const key = `${id} ${row.dataset.sound} ${row.dataset.dispatch ?? ''}`;
    if (shownOf.has(key) || row.dataset.queue !== 'personal') continue;
    shownOf.add(key);
    requestAnimationFrame(() => requestAnimationFrame(async () => {
      const answer = await post(`/api/v1/alarms/${id}/shown`, { console: consoleId });
      if (!answer.ok) shownOf.delete(key);
    }));
  }
}

/** What is open before somebody needs no sound that lasts. A repeat of it sounds once: they may look elsewhere. */
function hearShown(bells) {
  const shown = pane.current()?.dataset.alarm;
  if (!shown || document.hidden || !pane.wasOpened(shown)) return;
  for (const bell of bells.filter((one) => one.alarm === shown)) {
    if (bell.sound > (heardOf.get(bell.key) ?? bell.sound) && duty.isOn()) sound.play(sound.patternOf(bell.rank));
    heardOf.set(bell.key, bell.sound);
  }
}

/** Sound lasts until an alarm is opened here or taken by anybody; a repeat sounds again, also at who has it. */
function chooseSound() {
  const bells = queue.bells();
  hearShown(bells);
  if (!duty.isOn()) return sound.keepPlaying(null);
  if (live.isLost()) return sound.keepPlaying('lost');
  const ranks = bells
    .filter((bell) => bell.sound > (heardOf.get(bell.key) ?? (bell.why === 'mine' ? bell.sound : 0)))
    .map((bell) => bell.rank);
  sound.keepPlaying(ranks.length ? sound.patternOf(Math.min(...ranks)) : null);
}

function announce() {
  for (const row of queue.knownRows()) {
    const { alarm, rank, title, place } = row.dataset;
    if (announced.has(alarm)) continue;
    announced.add(alarm);
    row.firstElementChild.classList.add('new');
    if (Number(rank) <= 1) document.getElementById('announce').textContent = t('live.new_alarm', { kind: title, place });
  }
  for (const bell of queue.bells()) {
    if (told.has(bell.key) || !SAID[bell.why]) continue;
    told.add(bell.key);
    if (bell.alarm === pane.current()?.dataset.alarm && document.body.classList.contains('has-alarm')) continue; // the page says it
    say(t(SAID[bell.why], { kind: bell.title }), { warn: bell.why !== 'asks', seconds: 8, beside: true });
  }
}

/** Beside something else there is room for one alarm: one's own, or the first that waits. */
function chooseCompact() {
  if (!isCompact) return;
  const open = queue.knownRows();
  const first = open.find((row) => row.dataset.stand === 'mine' || row.dataset.mine) ?? open.find((row) => row.dataset.stand) ?? open.find((row) => row.dataset.waiting);
  const shown = pane.current()?.dataset.alarm;
  if (first && shown !== first.dataset.alarm && pane.live()?.dataset.mine !== 'yes') {
    window.htmx.ajax('GET', `/alarms/${first.dataset.alarm}`, { target: '#main' });
  } else if (!first && shown) {
    window.htmx.ajax('GET', '/calm', { target: '#main' });
  }
}

function hintWhenEmpty() {
  const hint = document.querySelector('.empty-hint');
  if (!hint) return;
  hint.textContent = t(live.isLost() ? 'queue.empty_hint_lost' : duty.isOn() ? 'queue.empty_hint_sound' : 'queue.empty_hint_silent');
}

function listChanged() {
  announce();
  markShown();
  chooseSound();
  chooseCompact();
  hintWhenEmpty();
}

queue.onChange(listChanged);
duty.onChange(() => {
  chooseSound();
  hintWhenEmpty();
  if (!pane.current()) setTimeout(() => pane.update(), 600); // it counts who listens
});
document.addEventListener('vaktpost:duty', () => queue.refresh()); // a team that was just taken may be asked to go
document.addEventListener('visibilitychange', () => {
  markShown();
  chooseSound();
});
document.addEventListener('htmx:after:swap', chooseSound);

/** Many technical alarms change at once, again and again: the list is not fetched for each time, so that it is free. */
function refreshSoon() {
  if (stormTimer) return;
  stormTimer = setTimeout(() => {
    stormTimer = 0;
    queue.refresh();
    pane.update();
  }, STORM_MS);
}

live.onEvent((event) => {
  if (event.name === 'lost') {
    pane.review();
    chooseSound();
    hintWhenEmpty();
  } else if (event.name === 'back' || event.name === 'reset') {
    if (event.name === 'back') say(t('live.back'));
    pane.review();
    queue.refresh();
    pane.update();
  } else if (event.name === 'change') {
    if (event.topic === 'elsewhere') return; // in a place that is not shown here
    if (STORMY.has(event.topic)) return refreshSoon();
    queue.refresh();
    if (event.topic === 'alarm' && pane.current()) pane.update(event.ref);
    if (!pane.current()) {
      clearTimeout(calmTimer);
      calmTimer = setTimeout(() => pane.update(), 400);
    }
  } else if (event.name === 'beat') {
    // The beat says what central has open: a list that differs, though it has seen as much, is wrong.
    const isBehind = event.no > queue.feedNo();
    const differs = queue.view === 'alarms' && event.hash !== queue.digest() && event.no >= queue.feedNo();
    if (isBehind || differs) queue.refresh();
    chooseSound();
  }
});

// Presence: as long as this window shows an alarm of one's own that was opened here, its claim stays.
setInterval(async () => {
  for (const row of queue.openRows().filter((item) => item.dataset.mine && pane.wasOpened(item.dataset.alarm))) {
    const answer = await post(`/api/v1/alarms/${row.dataset.alarm}/renew`);
    if (answer.status === 409) queue.refresh();
  }
}, RENEW_MS);

document.getElementById('take-next')?.addEventListener('click', () => pane.takeNext());
listChanged();
