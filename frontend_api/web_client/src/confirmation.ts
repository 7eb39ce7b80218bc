/** The second press that a destructive button requires, within a few seconds after the first. */

const TIMEOUT_MILLISECONDS = 5_000;

export class Confirmation<Name extends string> {
  #pending: { readonly name: Name; readonly timer: ReturnType<typeof setTimeout> } | null = null;

  /** `onChange` is called when a button starts or stops to wait for its second press. */
  constructor(private readonly onChange: () => void) {}

  isPending(name: Name): boolean {
    return this.#pending?.name === name;
  }

  /** Register a press. Return whether it is the second one. */
  press(name: Name): boolean {
    const isConfirmed = this.isPending(name);
    this.reset();
    if (!isConfirmed) {
      this.#pending = { name, timer: setTimeout(() => { this.reset(); }, TIMEOUT_MILLISECONDS) };
      this.onChange();
    }
    return isConfirmed;
  }

  reset(): void {
    clearTimeout(this.#pending?.timer);
    this.#pending = null;
    this.onChange();
  }
}
