// The catalogue's words, as the server put them into the page.

const place = document.getElementById('words');
const texts = place ? JSON.parse(place.textContent) : {};

/** One text, with `{name}` filled in. A missing one shows its key: ugly, and found by the tests. */
export function t(key, values = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ''));
}

/** The form for one or for others. */
export const count = (key, n, values = {}) => t(`${key}_${n === 1 ? 'one' : 'other'}`, { n, ...values });
