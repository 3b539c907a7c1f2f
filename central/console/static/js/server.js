// Talks to the JSON API. Nothing here throws: an answer is {ok, status, content}, and status 0 means no contact.

import { look } from './again.js';

function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** This window, for as long as it is open. */
export const consoleId = sessionStorage.getItem('vaktpost.console') ?? randomId();
sessionStorage.setItem('vaktpost.console', consoleId);

async function once(method, path, body) {
  try {
    const answer = await fetch(path, {
      method,
      headers: { 'X-CSRF-Token': document.body.dataset.csrf, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    const isJson = answer.headers.get('content-type')?.includes('json');
    return { ok: answer.ok, status: answer.status, content: isJson ? await answer.json() : await answer.text() };
  } catch {
    return { ok: false, status: 0, content: null };
  }
}

/** With the token as it is now, when the same person has signed in anew in another window. */
export async function call(method, path, body) {
  const answer = await once(method, path, body);
  return answer.status === 419 && (await look()) === 'in' ? once(method, path, body) : answer;
}

export const post = (path, body) => call('POST', path, body);
export const get = (path) => call('GET', path);
