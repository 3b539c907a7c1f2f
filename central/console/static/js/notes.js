// The note on an open alarm: what is typed stays with this window until it is sent, also over a session that ends.

import * as pane from './pane.js';

const main = document.getElementById('main');
const card = () => document.getElementById('alarm-note');
const field = () => document.getElementById('note-text');

/** Whoever may not write one now keeps what they have begun. */
function show() {
  if (!card()) return;
  const isOpen = pane.live().dataset.open === 'yes';
  const draft = pane.noteDraft();
  if (draft && !field().value) field().value = draft;
  card().hidden = !isOpen || (pane.live().dataset.notes !== 'yes' && !field().value);
}

main.addEventListener('input', (event) => {
  if (event.target === field()) pane.keepNote(field().value);
});

/** Another alarm may be open when it has arrived. What was typed on meanwhile is kept. */
main.addEventListener('vaktpost:sent', ({ detail: { form, body } }) => {
  if (form.id !== 'note-form') return;
  pane.noteArrived(form.dataset.post.split('/').at(-2), body.note);
  show();
});

document.addEventListener('htmx:after:swap', show);
show();
