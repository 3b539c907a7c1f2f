// Alarm tones, made here: a pattern of its own per priority, told apart without looking. Unlocked by a click.

let context = null;

// [frequency in Hz, start in s, length in s]; a pattern repeats until somebody opens the alarm.
const PATTERNS = {
  0: { shape: 'square', loud: 0.16, every: 1600, notes: [[988, 0, 0.16], [740, 0.18, 0.16], [988, 0.36, 0.16], [740, 0.54, 0.16], [988, 0.72, 0.16], [740, 0.9, 0.16]] },
  1: { shape: 'triangle', loud: 0.34, every: 2600, notes: [[660, 0, 0.18], [830, 0.2, 0.18], [990, 0.4, 0.34]] },
  2: { shape: 'sine', loud: 0.24, every: 5000, notes: [[587, 0, 0.24], [494, 0.28, 0.34]] },
  lost: { shape: 'sawtooth', loud: 0.1, every: 6000, notes: [[220, 0, 0.3], [196, 0.36, 0.5]] },
};

const SILENT_MS = 2000;
const listeners = [];
let silence = 0;

export const isUnlocked = () => context?.state === 'running';

/** Told with false when the device has taken the sound away, and with true when it is back. */
export const onChange = (listener) => listeners.push(listener);

const tell = (isHeard) => { for (const listener of listeners) listener(isHeard); };

/** A telephone that rings or a machine that slept stops all sound. It is asked for again, and missed after a moment. */
function watch() {
  clearTimeout(silence);
  if (isUnlocked()) return tell(true);
  context.resume().catch(() => {});
  silence = setTimeout(() => tell(isUnlocked()), SILENT_MS);
}

/** Has to be called from a click: browsers make no sound before one. */
export async function unlock() {
  if (!context) {
    context = new AudioContext();
    context.addEventListener('statechange', watch);
  }
  await context.resume();
  return isUnlocked();
}

export function play(name) {
  if (!isUnlocked()) return;
  const { shape, loud, notes } = PATTERNS[name];
  const start = context.currentTime + 0.02;
  for (const [frequency, at, length] of notes) {
    const tone = new OscillatorNode(context, { type: shape, frequency });
    const volume = new GainNode(context, { gain: 0 });
    volume.gain.setValueAtTime(0, start + at);
    volume.gain.linearRampToValueAtTime(loud, start + at + 0.015);
    volume.gain.setValueAtTime(loud, start + at + length - 0.04);
    volume.gain.linearRampToValueAtTime(0, start + at + length);
    tone.connect(volume).connect(context.destination);
    tone.start(start + at);
    tone.stop(start + at + length + 0.02);
  }
}

let playing = null;
let timer = 0;

/** Sound this pattern again and again; null: silence. */
export function keepPlaying(name) {
  if (name === playing) return;
  clearInterval(timer);
  playing = name;
  document.body.dataset.sounding = name ?? '';
  if (name === null) return;
  play(name);
  timer = setInterval(() => play(name), PATTERNS[name].every);
}

/** Whatever asks for somebody here sounds; technical alarms that wait ask for nobody at this desk, and have no bell. */
export const patternOf = (rank) => (rank <= 1 ? String(rank) : '2');
