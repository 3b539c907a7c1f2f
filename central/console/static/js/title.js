// How many alarms wait, where one sees it from another window: before the title, and on the icon of the tab.

const MOST = 99;
let count = 0;

function icon() {
  const badge = count === 0 ? '' : `<circle cx="19.5" cy="8.5" r="8.5" fill="#c8161d"/><text x="19.5" y="12.6" font-family="sans-serif" font-size="${count > 9 ? 10 : 12}" font-weight="700" text-anchor="middle" fill="#fff">${count > MOST ? '!' : count}</text>`;
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 28 28"><path fill="#17302f" d="M4 27V13C4 6.5 8.5 2 14 2s10 4.5 10 11v14Z"/>'
    + '<path fill="#fff" d="M9 27V14c0-3.5 2.2-6 5-6s5 2.5 5 6v13Z"/><circle fill="#f6b40a" stroke="#8d5b00" stroke-width=".8" cx="14" cy="15" r="3.2"/>' + badge + '</svg>';
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

function paint() {
  const bare = document.title.replace(/^\(\d+\) /, '');
  const wanted = count ? `(${count}) ${bare}` : bare;
  if (document.title !== wanted) document.title = wanted;
}

/** So many wait for somebody now. */
export function waiting(next) {
  if (next === count) return;
  count = next;
  paint();
  const link = document.querySelector('link[rel="icon"]');
  if (link) link.href = count ? icon() : '/static/brand.svg';
}

// An alarm that is opened brings its own title with it.
new MutationObserver(paint).observe(document.head, { childList: true, subtree: true, characterData: true });
