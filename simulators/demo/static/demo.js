// The demo's page: shows what really happens, and pulls plugs. It holds no state of its own but the language.
const $ = selector => document.querySelector(selector);
const all = selector => [...document.querySelectorAll(selector)];
const CODE = {waiting: [[0, 22], [44, 22]], taken: [[0, 88]], on_the_way: [[0, 56], [62, 8], [76, 12]], off: [], unknown: [[0, 7], [13, 7], [26, 7]]};
const CLASS = {waiting: 'waiting', taken: 'taken', on_the_way: 'onway', off: 'closed', unknown: 'unknown'};
const STEPS = [['group_flat', ['pressed', 'judged', 'durable'], 'h'], ['group_wire', ['sent'], 'l'], ['group_centre', ['receipt', 'shown'], 'c'], ['group_person', ['taken', 'reassured', 'on_the_way', 'closed'], 'p']];
const SVG = 'http://www.w3.org/2000/svg';
let texts = {}, state = null, lang = localStorage.getItem('vaktpost-demo-lang'), drawn = '';

const t = (key, values = {}) => (texts[key]?.[lang] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };

function words() {
  document.documentElement.lang = lang;
  document.title = `${t('title')} · Vaktpost`;
  all('[data-t]').forEach(e => put(e, t(e.dataset.t)));
  all('[data-t-label]').forEach(e => e.setAttribute('aria-label', t(e.dataset.tLabel)));
  all('[data-t-title]').forEach(e => e.setAttribute('title', t(e.dataset.tTitle)));
  all('[data-lang]').forEach(b => b.setAttribute('aria-pressed', b.dataset.lang === lang));
  $('.legend').replaceChildren(...['waiting', 'taken', 'on_the_way', 'off', 'unknown'].map(word => {
    const li = document.createElement('li'), pip = document.createElement('span'), name = document.createElement('span'), svg = document.createElementNS(SVG, 'svg');
    li.className = `lamp-${CLASS[word]}`; pip.className = 'pip'; name.textContent = t(`lamp_${word}`);
    svg.setAttribute('class', 'code'); svg.setAttribute('viewBox', '0 0 88 8'); svg.setAttribute('preserveAspectRatio', 'none'); svg.setAttribute('aria-hidden', 'true');
    code(svg, word); li.append(pip, svg, name); return li;
  }));
  drawn = '';
  if (state) show(state);
}

function code(svg, word) {
  const line = document.createElementNS(SVG, 'line');
  for (const [key, value] of [['x1', 0], ['x2', 88], ['y1', 4], ['y2', 4]]) line.setAttribute(key, value);
  svg.replaceChildren(line, ...CODE[word].map(([x, width]) => {
    const r = document.createElementNS(SVG, 'rect');
    for (const [key, value] of [['x', x], ['y', .5], ['width', width], ['height', 7], ['rx', 1.5]]) r.setAttribute(key, value);
    return r;
  }));
}

function lamp({home, programs}) {
  const flat = $('.d-flat'), dead = !programs.hub || !home.hub_connected, word = dead ? 'off' : home.lamp.word;
  flat.dataset.lamp = word === 'off' ? 'off' : CLASS[word];
  flat.classList.add('live');
  flat.classList.toggle('lit', home.lamp.is_lit);
  flat.classList.toggle('dead', dead);
  const says = $('.says');
  if (says.dataset.word !== word) { says.dataset.word = word; says.className = `says demolamp lamp lamp-${CLASS[word]}`; code($('.says .code'), word); }
  put($('.saying'), t(dead ? 'says_dead' : `says_${word}`));
  all('.dev[data-level]').forEach(d => { if (d.dataset.level in home.levels) d.classList.toggle('active', !!home.levels[d.dataset.level]); });
}

function local({home, local: calls}) {
  const note = $('.local');
  note.hidden = !calls;
  if (!calls) return;
  const by = ['lamp', 'buzzer', ...(home.call ? ['call'] : [])].map(word => t(`local_${word}`)).join(', ');
  const said = calls.said[lang] ?? calls.said.en;
  put(note, `${t(`local_${calls.cause}`)}: ${by}.${said ? ` “${said}”` : ''}`);
}

function ward({home}) {
  const list = $('.ward'), rooms = home.rooms ?? [];
  if (!rooms.length) return;
  if (list.hidden) {
    list.hidden = false; $('.plan').remove(); $('[data-sab=battery]').remove(); $('#at-home').dataset.t = 'at_ward'; put($('#at-home'), t('at_ward'));
    list.replaceChildren(...rooms.map(room => {
      const li = document.createElement('li'), name = document.createElement('b'), light = document.createElement('span');
      li.dataset.room = room; name.dataset.room = room; light.className = 'door-light';
      li.append(light, name, ...['call', 'emergency', 'assistance', 'presence', 'reset'].map(kind => {
        const b = document.createElement('button');
        b.className = 'btn sm'; b.dataset.t = `room_${kind}`; b.addEventListener('click', () => act({home: {do: 'call', room, kind}}));
        return b;
      }));
      return li;
    }));
    words();
  }
  for (const li of list.children) {
    li.dataset.call = home.calls[li.dataset.room] ?? '';
    put(li.querySelector('b'), t('room', {n: li.dataset.room}));
  }
}

function took(ms) {
  if (ms < 1000) return `${ms < 10 ? ms.toLocaleString(lang, {maximumFractionDigits: 1}) : Math.round(ms)} ms`;
  return `${(ms / 1000).toLocaleString(lang, {maximumFractionDigits: 1})} s`;
}

function journey({journey: j}) {
  const list = $('.jrn'), key = JSON.stringify([j, lang]);
  if (key === drawn) return;
  drawn = key;
  const order = STEPS.flatMap(([, names]) => names), times = j?.steps ?? {};
  const longest = Math.max(1, ...['pressed', 'judged', 'durable', 'sent', 'receipt', 'shown'].map(n => times[n] ?? 0));
  const next = order.find(n => times[n] == null && !(n === 'on_the_way' && times.closed != null));
  list.replaceChildren(...STEPS.flatMap(([group, names, kind]) => {
    const head = document.createElement('li'), label = document.createElement('span');
    head.className = 'g'; label.textContent = t(group); head.append(label);
    return [head, ...names.map(name => {
      const li = document.createElement('li'), n = document.createElement('span'), div = document.createElement('div'), b = document.createElement('b'), small = document.createElement('small'), ms = document.createElement('span');
      const done = times[name] != null;
      li.className = `s ${kind}${done ? ' done' : ''}${j && name === next ? (j.stuck ? ' stuck' : ' upnext') : ''}`;
      li.dataset.step = name; n.className = 'n'; ms.className = 'ms num';
      const special = `step_${name}_${j?.kind}`;
      b.textContent = t(special in texts ? special : `step_${name}`); small.textContent = t(`${special}_small` in texts ? `${special}_small` : `step_${name}_small`);
      ms.textContent = done ? took(times[name]) : '';
      div.append(b, small); li.append(n, div, ms);
      if (kind !== 'p') { const bar = document.createElement('span'); bar.className = 'bar'; bar.style.setProperty('--v', done ? `${Math.max(2, 100 * times[name] / longest)}%` : '0%'); li.append(bar); }
      return li;
    })];
  }));
}

function show(s) {
  state = s;
  ward(s); lamp(s); local(s); journey(s);
  const c = s.counts;
  for (const name of ['pressed', 'lost', 'doubled', 'unheard']) put($(`#c-${name}`), c[name].toLocaleString(lang));
  put($('#c-way'), c.under_way.toLocaleString(lang));
  $('#c-way').classList.toggle('some', c.under_way > 0);
  $('#c-lost').classList.toggle('bad', c.lost > 0); $('#c-doubled').classList.toggle('bad', c.doubled > 0);
  $('#unheard').hidden = !c.unheard;
  all('[data-sab]').forEach(b => b.setAttribute('aria-pressed', !!s.sabotage[b.dataset.sab]));
  const pc = !!s.sabotage.pc, frame = $('#pc');
  if (frame.hidden !== pc || frame.dataset.of !== String(s.programs.console)) {
    frame.hidden = pc; $('.pc-off').hidden = !pc; frame.dataset.of = s.programs.console;
    frame.src = pc ? 'about:blank' : `/operator?compact=1&lang=${lang}`;
  }
  const note = $('.waiting-note');
  note.hidden = !(c.readings_waiting > 50);
  put(note, t('waiting_readings', {n: c.readings_waiting.toLocaleString(lang)}));
  put($('#notes'), s.notes.join('\n'));
}

async function act(body) {
  const answer = await fetch('/do', {method: 'POST', headers: {'Content-Type': 'application/json', 'X-Vaktpost-Demo': '1'}, body: JSON.stringify(body)});
  const reply = await answer.json();
  if (!reply.ok) { result(t('failed', {why: reply.error}), false); }
  return reply;
}

function result(text, good) { const r = $('#result'); r.hidden = false; r.textContent = text; r.classList.toggle('good', good === true); r.classList.toggle('bad', good === false); }

function device(d) {
  const active = d.classList.contains('active');
  d.classList.add('hit-now'); setTimeout(() => d.classList.remove('hit-now'), 700);
  const what = {press: {do: 'press'}, cord: {do: 'pull'}, door: {do: active ? 'close' : 'open'}, mat: {do: active ? 'return' : 'leave'}, smoke: {do: active ? 'clear' : 'smoke'}}[d.dataset.do];
  act({home: what});
}

all('.dev').forEach(d => { d.addEventListener('click', () => device(d)); d.addEventListener('keydown', e => { if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); device(d); } }); });
all('[data-sab]').forEach(b => b.addEventListener('click', () => act({sabotage: b.dataset.sab, on: b.getAttribute('aria-pressed') !== 'true'})));
all('[data-lang]').forEach(b => b.addEventListener('click', () => { lang = b.dataset.lang; localStorage.setItem('vaktpost-demo-lang', lang); words(); if (!state?.sabotage.pc) $('#pc').src = `/operator?compact=1&lang=${lang}`; }));
for (const [id, what] of [['#look', 'card'], ['#verify', 'verify'], ['#flip', 'flip']]) $(id).addEventListener('click', async () => { const r = await act({look: what}); if (r.ok) result(r.text, r.good); });

texts = await (await fetch('/static/texts.json')).json();
const asked = new URLSearchParams(location.search).get('lang');
lang = ['nb', 'en'].includes(asked) ? asked : lang ?? (navigator.language.startsWith('en') ? 'en' : 'nb');
words();
const events = new EventSource('/events');
events.onmessage = e => { $('.demo-gone').hidden = true; show(JSON.parse(e.data)); };
events.onerror = () => { $('.demo-gone').hidden = false; };
