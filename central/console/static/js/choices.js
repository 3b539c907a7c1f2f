// Fills selects with whom and what the acts on an alarm may name, as central has it at this moment.

import { get } from './server.js';
import { clockOf } from './clock.js';

function label(choice) {
  return choice.name ?? [clockOf(choice.from_ms), choice.team_name].filter(Boolean).join(' · ');
}

/** Every `data-choices` inside, from the alarm that it stands in. What is chosen stays chosen. */
export async function fillChoices(within) {
  const alarm = within.closest('[data-alarm]')?.dataset.alarm;
  const answer = await get(`/api/v1/alarms/${alarm}/choices`);
  if (!answer.ok) return;
  for (const list of within.querySelectorAll('[data-choices]')) {
    const select = list.closest('select');
    const chosen = select.value;
    const found = answer.content[list.dataset.choices];
    list.querySelectorAll('option[value]:not([value=""])').forEach((option) => option.remove());
    for (const choice of found) {
      const option = document.createElement('option');
      option.value = choice.id;
      option.textContent = label(choice);
      if (list.dataset.field) option.dataset.field = list.dataset.field;
      list.append(option);
    }
    if ([...select.options].some((option) => option.value === chosen)) select.value = chosen;
    const none = select.parentElement.querySelector('[data-none]');
    if (none) none.hidden = found.length > 0;
  }
}
