// Holds the event stream. A worker, because browsers slow the timers of a hidden page down to one a minute, and a
// console that is behind another window must notice within seconds that nobody speaks any more.

const LOST_AFTER_MS = 12_000;
const REOPEN_EVERY_MS = 4_000;

let source = null;
let where = '';
let after = 0;
let lastBeat = null; // by performance.now(): wall clocks jump
let openedAt = performance.now();
let isLost = false;
let isEnded = false;

function open() {
  source?.close();
  openedAt = performance.now();
  source = new EventSource(`${where}&after=${after}`);
  for (const name of ['change', 'beat', 'reset', 'ended']) {
    source.addEventListener(name, (event) => heard(name, JSON.parse(event.data)));
  }
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) postMessage({ name: 'refused' });
  };
}

function heard(name, content) {
  if (name === 'ended') {
    isEnded = true;
    isLost = true; // until the next beat, which says that contact is back
    source.close();
    postMessage({ name });
    return;
  }
  const gap = name === 'change' && after > 0 && content.no > after + 1;
  if (name !== 'beat') after = Math.max(after, content.no);
  if (name === 'beat') {
    lastBeat = performance.now();
    if (isLost) {
      isLost = false;
      postMessage({ name: 'back' });
    }
  }
  postMessage({ name, gap, seen: after, ...content });
  if (name === 'beat') after = Math.max(after, content.no);
}

setInterval(() => {
  if (isEnded || !where) return;
  const now = performance.now();
  const silence = now - (lastBeat ?? openedAt0);
  postMessage({ name: 'second', silence, ever: lastBeat !== null });
  if (silence > LOST_AFTER_MS && !isLost) {
    isLost = true;
    postMessage({ name: 'lost' });
  }
  if (silence > LOST_AFTER_MS && now - openedAt > REOPEN_EVERY_MS) open();
}, 1000);

const openedAt0 = performance.now();

onmessage = ({ data }) => {
  if (data.name === 'open') {
    where = data.where;
    after = Math.max(after, data.after ?? 0);
    isEnded = false;
    open();
  }
};
