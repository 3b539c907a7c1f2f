// Every page: the menu closes when one clicks beside it, and what is shown once can be copied.

document.addEventListener('click', (event) => {
  const menu = document.getElementById('menu');
  if (menu?.open && !menu.contains(event.target)) menu.open = false;
  const button = event.target.closest('[data-copy]');
  if (button) navigator.clipboard?.writeText(document.getElementById(button.dataset.copy).textContent);
});
document.addEventListener('keydown', (event) => {
  const menu = document.getElementById('menu');
  if (event.key === 'Escape' && menu?.open) menu.open = false;
});
document.addEventListener('htmx:response:error', (event) => {
  if ([401, 419].includes(event.detail.ctx.response.status)) location.reload();
});
