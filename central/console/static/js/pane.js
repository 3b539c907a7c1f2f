// The alarm beside the list: what can be done with it, and the form that ends it.

import * as queue from './queue.js';
import { comeBack } from './again.js';
import { post } from './server.js';
import { fillChoices } from './choices.js';
import { say } from './toast.js';
import { t } from './words.js';
import { clockOf } from './clock.js';

const main = document.getElementById('main');
const isCompact = document.body.dataset.compact === 'yes';
const opened = new Set(JSON.parse(sessionStorage.getItem('vaktpost.opened') ?? '[]'));

export const current = () => document.getElementById('alarm');
export const live = () => document.getElementById('alarm-live');
export const isMine = () => live()?.dataset.mine === 'yes';
/** Alarms that this window has opened: their claims it keeps alive, and their sound it has ended. */
export const wasOpened = (id) => opened.has(id);

function remember(id) {
  opened.add(id);
  sessionStorage.setItem('vaktpost.opened', JSON.stringify([...opened].slice(-50)));
}

/** Show an alarm. The rest of the page, and its stream, stay as they are. */
export function open(id) {
  remember(id);
  return window.htmx.ajax('GET', `/alarms/${id}`, { target: '#main', push: isCompact ? null : `/alarms/${id}` });
}

export function close() {
  if (isCompact) return;
  if (document.body.classList.contains('lost')) return document.body.classList.remove('has-alarm'); // still there to go back to
  window.htmx.ajax('GET', '/calm', { target: '#main', push: '/' });
}

/** Something about the open alarm, or about the day, has changed. */
export function update(id) {
  const shown = current();
  if (shown && (id === undefined || shown.dataset.alarm === id)) window.htmx.trigger(live(), 'vaktpost:changed');
  else if (!shown) window.htmx.trigger('#calm', 'vaktpost:changed');
}

const SAID = { claim: 'taken', 'on-the-way': 'on_the_way', 'on-site': 'on_site', release: 'released', close: 'closed' };

export async function act(id, what, { body, kind } = {}) {
  if (document.body.classList.contains('lost')) {
    say(t('toast.no_contact'), { warn: true });
    return false;
  }
  const answer = await post(`/api/v1/alarms/${id}/${what}`, body);
  if (answer.ok) {
    remember(id);
    const canUndo = what === 'claim' || what === 'close';
    say(t(`toast.${answer.content.stage === 'deferred' ? 'deferred' : SAID[what]}`, { kind }), canUndo ? { undo: () => undo(id), seconds: 10 } : {});
  } else {
    refuse(answer);
  }
  queue.refresh();
  update(id);
  return answer.ok;
}

async function undo(id) {
  const answer = await post(`/api/v1/alarms/${id}/undo`);
  if (answer.ok) say(t('toast.undone'));
  else if (answer.content?.reason === 'too_late_to_undo') say(t('toast.too_late'), { warn: true });
  else refuse(answer);
  queue.refresh();
  if (answer.ok && answer.content.is_mine) await open(id);
  else update(id);
}

const REASONS = {
  stale: 'toast.stale', already_offered: 'toast.already_offered', offer_over: 'toast.offer_over',
  already_sent: 'toast.already_sent', dispatch_over: 'toast.dispatch_over', not_defer: 'toast.promised',
};

export function refuse({ status, content }) {
  const holder = content?.holder;
  if (status === 0) say(t('toast.no_contact'), { warn: true, seconds: 10 });
  else if (status === 401 || status === 419) comeBack();
  else if (status === 403) say(t('toast.forbidden'), { warn: true });
  else if (content?.reason === 'closed') say(t('toast.already_closed'), { warn: true });
  else if (REASONS[content?.reason]) say(t(REASONS[content.reason]), { warn: true, seconds: 10 });
  else if (holder) say(t('toast.taken_by_other', { name: holder.name, time: clockOf(holder.since_ms) }), { warn: true, seconds: 10 });
  else if (status === 409) say(t('toast.lost_it'), { warn: true });
  else say(t('toast.failed'), { warn: true });
}

export async function takeNext() {
  if (document.body.classList.contains('lost')) return say(t('toast.no_contact'), { warn: true });
  const answer = await post('/api/v1/alarms/next', { queue: queue.view === 'technical' ? 'technical' : 'personal' });
  if (!answer.ok) return refuse(answer);
  const taken = answer.content.alarm;
  if (!taken) return say(t('toast.nothing_waits'));
  remember(taken.id);
  await Promise.all([open(taken.id), queue.refresh()]);
  say(t('toast.taken', { kind: current()?.dataset.kind ?? '' }), { undo: () => undo(taken.id), seconds: 10 });
}

/** A button of the open alarm, or its key. */
export function press(what) {
  const shown = current();
  if (!shown) return;
  const button = shown.querySelector(`[data-act="${what}"]`);
  if (!button || button.getAttribute('aria-disabled') === 'true') return;
  if (what === 'outcome') return showForm();
  if (what === 'help') return document.getElementById('help').showModal();
  act(shown.dataset.alarm, what, { kind: shown.dataset.kind });
}

// ── The form ──────────────────────────────────────────────────────────────────────────

const form = () => document.getElementById('close-form');

export function showForm() {
  document.body.classList.add('closing');
  const card = document.getElementById('alarm-close');
  card?.scrollIntoView({ block: 'center', behavior: 'auto' });
  form()?.querySelector('input[type=radio]:checked, input[type=radio]')?.focus({ preventScroll: true });
}

export function hideForm() {
  document.body.classList.remove('closing');
}

// A draft is whose it is: at a shared computer nobody reads what somebody else has begun to write.
const OWN = `vaktpost.draft.${document.body.dataset.me}.`;
for (const key of Object.keys(sessionStorage)) if (key.startsWith('vaktpost.draft.') && !key.startsWith(OWN)) sessionStorage.removeItem(key);

const draftKey = (id = form().dataset.alarm) => OWN + id;

const noteKey = (id = current().dataset.alarm) => `${draftKey(id)}.note`;
export const noteDraft = () => sessionStorage.getItem(noteKey()) ?? '';
export function keepNote(text) {
  if (text) sessionStorage.setItem(noteKey(), text);
  else sessionStorage.removeItem(noteKey());
  review();
}

export function noteArrived(id, text) {
  if (sessionStorage.getItem(noteKey(id)) === text) sessionStorage.removeItem(noteKey(id));
  review();
}

function read() {
  const fields = new FormData(form());
  fields.set('outcome', document.getElementById('close-outcome').value); // also one that cannot be chosen so
  return Object.fromEntries(['disposition', 'outcome', 'kind_of_help', 'visit', 'criterion', 'note', 'override'].map((name) => [name, fields.get(name) ?? '']));
}

const TO_READ_MS = 2000;
let last = { alarm: null, sound: '', since: -Infinity }; // what the open alarm was last loud about

/** A press or a refusal that has only just come into view has not been read: nothing is closed over it. */
function noticeSound() {
  const alarm = current()?.dataset.alarm ?? null;
  const sound = live()?.dataset.sound;
  if (alarm === last.alarm && sound === last.sound) return;
  const isNews = alarm !== null && alarm === last.alarm;
  last = { alarm, sound, since: isNews ? performance.now() : -Infinity };
  if (isNews) setTimeout(review, TO_READ_MS);
}

const isJustNow = () => performance.now() - last.since < TO_READ_MS;

function mayClose() {
  return isMine() || (document.getElementById('close-override') && live()?.dataset.stage !== 'waiting');
}

/** Outcomes that cannot be closed so cannot be chosen; the kind of help is fixed where the outcome says it. */
function fitOutcome(disposition) {
  const outcomes = document.getElementById('close-outcome');
  for (const option of outcomes.options) {
    const ways = option.dataset.dispositions?.split(' ');
    option.disabled = Boolean(disposition && ways && !ways.includes(disposition));
  }
  const chosen = outcomes.selectedOptions[0];
  const help = document.getElementById('close-help');
  if (help) {
    help.disabled = Boolean(chosen?.dataset.help);
    if (help.disabled) help.value = '';
  }
  return !chosen?.disabled;
}

/** What is missing is said in words, and the button waits. */
export function review() {
  if (!form()) return;
  const override = document.getElementById('close-override');
  if (override) override.hidden = isMine() || live()?.dataset.stage === 'waiting';
  const { disposition, outcome, visit, override: reason } = read();
  const isFit = fitOutcome(disposition);
  const visits = document.getElementById('close-visit-field');
  if (visits) {
    const wasHidden = visits.hidden;
    visits.hidden = disposition !== 'next_visit';
    if (wasHidden && !visits.hidden) fillChoices(visits);
  }
  const missing = document.body.classList.contains('lost')
    ? 'no_contact'
    : !mayClose()
    ? 'needs_claim'
    : !disposition && !outcome ? 'missing_both'
    : !disposition ? 'missing_disposition'
    : !outcome ? 'missing_outcome'
    : !isFit ? 'misfit'
    : disposition === 'next_visit' && !visit ? 'missing_visit'
    : override && !override.hidden && !reason.trim() ? 'missing_reason'
    : noteDraft().trim() && live()?.dataset.notes === 'yes' ? 'unsent_note'
    : isJustNow() ? 'just_now' : '';
  const button = document.getElementById('close-submit');
  button.setAttribute('aria-disabled', String(Boolean(missing)));
  button.classList.toggle('primary', !missing);
  document.getElementById('close-hint').textContent = t(`close.${missing || 'ready'}`);
  if (outcome && isFit) form().querySelector('.field.bad')?.classList.remove('bad');
  if (disposition) form().querySelector('fieldset.bad')?.classList.remove('bad');
  form().dataset.missing = missing;
}

function restore() {
  if (!form()) return;
  const kept = JSON.parse(sessionStorage.getItem(draftKey()) ?? '{}');
  for (const [name, value] of Object.entries(kept)) {
    const field = form().elements.namedItem(name);
    if (field) field.value = value;
  }
  review();
}

main.addEventListener('input', (event) => {
  if (!event.target.closest('#close-form')) return;
  sessionStorage.setItem(draftKey(), JSON.stringify(read()));
  review();
});

main.addEventListener('submit', async (event) => {
  if (event.target.id !== 'close-form') return;
  event.preventDefault();
  review();
  const { missing, alarm } = form().dataset;
  if (missing) {
    if (missing === 'no_contact') return say(t('close.no_contact'), { warn: true, seconds: 10 });
    if (missing === 'needs_claim' || missing === 'just_now') return say(t(`close.${missing}`), { warn: true });
    if (missing === 'unsent_note') return document.getElementById('note-text').focus();
    if (missing === 'missing_visit') return document.getElementById('close-visit').focus();
    if (missing !== 'missing_outcome' && missing !== 'misfit') form().querySelector('fieldset').classList.add('bad');
    if (missing !== 'missing_disposition') form().querySelector('#close-outcome').closest('.field').classList.add('bad');
    form().querySelector(['missing_outcome', 'misfit'].includes(missing) ? '#close-outcome' : 'input[name=disposition]').focus();
    return;
  }
  const key = draftKey();
  const kind = current().dataset.kind;
  const content = { ...read(), version: Number(live().dataset.version) };
  if (isMine()) content.override = '';
  if (content.disposition !== 'next_visit') content.visit = '';
  if (await act(alarm, 'close', { body: content, kind })) {
    sessionStorage.removeItem(key);
    hideForm();
  }
});

// ── The pane changes ──────────────────────────────────────────────────────────────────

/** Somebody else ended it while one was writing: the text stands beside what they did, until it is thrown away. */
function keepDraft() {
  const box = document.getElementById('alarm-draft');
  if (!box) return;
  const kept = JSON.parse(sessionStorage.getItem(draftKey(current().dataset.alarm)) ?? '{}');
  const text = [noteDraft(), kept.note, kept.override].filter(Boolean).join('\n');
  box.hidden = live().dataset.open === 'yes' || !text;
  document.getElementById('draft-text').textContent = text;
}

main.addEventListener('click', (event) => {
  if (event.target.id !== 'draft-drop') return;
  sessionStorage.removeItem(draftKey(current().dataset.alarm));
  keepNote('');
  keepDraft();
});

export function settled() {
  const shown = current();
  noticeSound();
  if (shown) keepDraft();
  document.body.classList.toggle('has-alarm', Boolean(shown));
  if (shown && live()?.dataset.open !== 'yes') {
    document.getElementById('alarm-close')?.setAttribute('hidden', '');
    hideForm();
  } else {
    document.getElementById('alarm-close')?.removeAttribute('hidden');
    restore();
  }
  queue.mark();
}

main.addEventListener('click', (event) => {
  const button = event.target.closest('[data-act]');
  if (button) press(button.dataset.act);
  if (event.target.closest('#alarm-back') && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    close();
  }
});

document.getElementById('queue').addEventListener('click', (event) => {
  const id = event.target.closest('li[data-opens]')?.dataset.opens;
  if (id) remember(id);
});

/** Without contact nothing new can be opened; the alarm that is here already can. */
document.getElementById('queue').addEventListener('click', (event) => {
  const id = event.target.closest('li[data-opens]')?.dataset.opens;
  if (!id || !document.body.classList.contains('lost')) return;
  event.preventDefault();
  event.stopPropagation();
  if (current()?.dataset.alarm === id) document.body.classList.add('has-alarm');
  else say(t('toast.cannot_open'), { warn: true });
}, { capture: true });

let lastShown = null;
document.addEventListener('htmx:after:swap', () => {
  settled();
  const id = current()?.dataset.alarm ?? null;
  if (id !== lastShown) {
    hideForm();
    if (!isCompact) document.getElementById('alarm-title')?.focus({ preventScroll: true });
  }
  lastShown = id;
});

if (current()) {
  lastShown = current().dataset.alarm;
  if (!isCompact) remember(lastShown);
}
settled();
