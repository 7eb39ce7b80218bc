/** The dialog that creates, lists and revokes the user's API keys. */

import { copyFrom } from "../copy_text";
import { byId, find, setText } from "../dom";
import { KeyedList } from "../keyed_list";
import { errorText } from "../problems";
import { RevocableItem } from "../revocable_item";
import { type ApiKey, type ApiKeysApi, keyFacts } from "./api_keys";

export class KeysDialog {
  readonly #dialog = byId("keys", HTMLDialogElement);
  readonly #form = find(this.#dialog, "form", HTMLFormElement);
  readonly #name = byId("key-name", HTMLInputElement);
  readonly #days = byId("key-days", HTMLSelectElement);
  readonly #create = find(this.#form, "button", HTMLButtonElement);
  readonly #new = find(this.#dialog, ".secret", HTMLElement);
  readonly #key = find(this.#new, "input", HTMLInputElement);
  readonly #message = find(this.#dialog, ".dialog__message", HTMLElement);
  readonly #listed = find(this.#dialog, ".keys__listed", HTMLElement);
  readonly #list: KeyedList<ApiKey>;

  constructor(private readonly api: ApiKeysApi) {
    this.#list = new KeyedList<ApiKey>(
      find(this.#dialog, "ul", HTMLElement),
      ({ id }) => id,
      (key) => new RevocableItem(key, (one) => ({ title: one.name, facts: keyFacts(one, new Date()) }), (one) => void this.#revoke(one)),
      "keys-close",
    );
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#createKey();
    });
    this.#dialog.addEventListener("click", (event) => {
      const target = event.target as Element;
      const action = target.closest<HTMLElement>("[data-action]")?.dataset.action;
      if (target === this.#dialog || action === "close") this.#dialog.close();
      else if (action === "copy") void copyFrom(this.#key, "Key copied.").then((text) => { setText(this.#message, text); });
    });
    // The page must not keep the key.
    this.#dialog.addEventListener("close", () => { this.#showKey(""); });
  }

  open(): void {
    this.#showKey("");
    setText(this.#message, "");
    this.#listed.hidden = true;
    this.#dialog.showModal();
    void this.#refresh();
  }

  async #createKey(): Promise<void> {
    if (this.#create.getAttribute("aria-disabled") === "true") return;
    const scopes = Array.from(this.#form.querySelectorAll<HTMLInputElement>("[name=scope]:checked"), ({ value }) => value);
    if (scopes.length === 0) {
      setText(this.#message, "Choose at least one permission.");
      return;
    }
    // The attribute `disabled` would remove the focus from the button.
    this.#create.setAttribute("aria-disabled", "true");
    try {
      const key = await this.api.create(this.#name.value.trim(), scopes, Number(this.#days.value) || null);
      if (!this.#dialog.open) return;
      this.#form.reset();
      this.#showKey(key);
      this.#key.select();
      setText(this.#message, "Key created. Copy it now: it is not shown again.");
      this.#message.scrollIntoView({ block: "nearest" });
      await this.#refresh();
    } catch (error) {
      setText(this.#message, errorText(error));
    } finally {
      this.#create.removeAttribute("aria-disabled");
    }
  }

  async #revoke(key: ApiKey): Promise<void> {
    try {
      await this.api.revoke(key.id);
      setText(this.#message, `The key ${key.name} is revoked. All servers reject it within seconds.`);
      await this.#refresh();
    } catch (error) {
      setText(this.#message, errorText(error));
    }
  }

  async #refresh(): Promise<void> {
    try {
      const keys = await this.api.list();
      this.#list.show(keys);
      this.#listed.hidden = keys.length === 0;
    } catch (error) {
      setText(this.#message, errorText(error));
    }
  }

  #showKey(key: string): void {
    this.#key.value = key;
    this.#new.hidden = key === "";
  }
}
