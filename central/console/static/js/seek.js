// A field that names one of many: while somebody writes, the hits stand under it (a combobox with a list of its own).

const WAIT_MS = 150;
let count = 0;

class Seek {
  constructor(box) {
    this.box = box;
    this.input = box.querySelector('input');
    this.list = document.createElement('div');
    this.list.className = 'seek-list';
    this.list.id = `seek-${++count}`;
    this.list.hidden = true;
    // Said from a place that is always there: what appears together with its text is read by few screen readers.
    this.said = document.createElement('span');
    this.said.className = 'vh';
    this.said.setAttribute('role', 'status');
    box.append(this.list, this.said);
    this.input.setAttribute('role', 'combobox');
    this.input.setAttribute('aria-autocomplete', 'list');
    this.input.setAttribute('aria-expanded', 'false');
    this.input.addEventListener('input', () => this.wait());
    this.input.addEventListener('keydown', (event) => this.key(event));
    this.input.addEventListener('blur', () => this.close());
    // Before the field loses the focus, and with it the list.
    this.list.addEventListener('pointerdown', (event) => event.preventDefault());
    this.list.addEventListener('click', (event) => this.pick(event.target.closest('[role=option]')));
  }

  get options() {
    return [...this.list.querySelectorAll('[role=option]')];
  }

  wait() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), WAIT_MS);
  }

  /** What comes back for older words is thrown away. */
  async ask() {
    const words = this.input.value.trim();
    if (!words) return this.close();
    // In the body: what is typed may be somebody's name, and an address is written into many a log.
    const answer = await fetch(this.box.dataset.seek, {
      method: 'POST',
      headers: { 'hx-request': 'true', 'X-CSRF-Token': document.body.dataset.csrf },
      body: new URLSearchParams({ q: words }),
    }).catch(() => null);
    if (!answer?.ok || words !== this.input.value.trim() || document.activeElement !== this.input) return;
    const found = new DOMParser().parseFromString(await answer.text(), 'text/html');
    this.list.replaceChildren(...found.body.children);
    this.options.forEach((option, at) => { option.id = `${this.list.id}-${at}`; });
    this.said.textContent = this.list.querySelector('.seek-said').textContent;
    const listbox = this.list.querySelector('[role=listbox]');
    if (listbox) {
      listbox.id = `${this.list.id}-box`;
      listbox.setAttribute('aria-label', this.input.labels[0]?.textContent ?? this.input.ariaLabel ?? '');
      this.input.setAttribute('aria-controls', listbox.id);
    } else this.input.removeAttribute('aria-controls');
    this.list.hidden = false;
    this.input.setAttribute('aria-expanded', String(this.options.length > 0));
    this.mark(-1);
  }

  mark(at) {
    this.at = at;
    this.options.forEach((option, number) => option.setAttribute('aria-selected', String(number === at)));
    const marked = this.options[at];
    if (marked) {
      this.input.setAttribute('aria-activedescendant', marked.id);
      marked.scrollIntoView({ block: 'nearest' });
    } else this.input.removeAttribute('aria-activedescendant');
  }

  key(event) {
    const isOpen = !this.list.hidden;
    const last = this.options.length - 1;
    if (event.key === 'ArrowDown') isOpen ? this.mark(this.at >= last ? 0 : this.at + 1) : this.ask();
    else if (event.key === 'ArrowUp' && isOpen) this.mark(this.at <= 0 ? last : this.at - 1);
    else if (event.key === 'Enter' && isOpen && this.at >= 0) this.pick(this.options[this.at]);
    else if (event.key === 'Escape' && isOpen) this.close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  pick(option) {
    if (!option) return;
    this.input.value = option.textContent;
    for (const other of this.box.parentElement.querySelectorAll('input[type=radio], input[type=checkbox]')) {
      if (other.name === this.input.name) other.checked = false;
    }
    this.close();
  }

  close() {
    clearTimeout(this.timer);
    this.list.hidden = true;
    this.input.setAttribute('aria-expanded', 'false');
    this.input.removeAttribute('aria-activedescendant');
    this.at = -1;
  }
}

for (const box of document.querySelectorAll('[data-seek]')) new Seek(box);
