// On duty the queue stays open and can be heard: other pages open beside it, always in the same second window.

import * as duty from './duty.js';
import * as pane from './pane.js';

const WINDOW = 'vaktpost-beside';

document.addEventListener('click', (event) => {
  const link = event.target.closest('a[href^="/"]');
  if (!duty.isOn() || !link || link.target || link.hasAttribute('hx-get') || event.defaultPrevented) return;
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (link.pathname === '/') {
    event.preventDefault();
    pane.close();
  } else {
    link.target = WINDOW;
  }
});
