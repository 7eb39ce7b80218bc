/**
 * Notifications of the browser about tasks that have finished while the page is hidden, if the user has turned them on.
 *
 * All tasks that have finished since the page was hidden share one notification, which is replaced.
 */

import type { TaskDocument } from "@darkroom/web";

import { setText } from "../dom";
import { storeChoice, storedChoice } from "../stored_choice";
import { notificationOf, refusalText } from "./notification_text";

const CHOICE = "notifications";
/** A notification replaces an earlier one with its tag, also that of another tab. */
const TAG = "darkroom-finished";

export class Notifications {
  /** The tasks that have finished since the page was hidden, the last one first. */
  #finished: readonly TaskDocument[] = [];
  #shown: Notification | null = null;

  /** `open` is called with the task of a notification that the user presses. */
  constructor(private readonly control: HTMLInputElement, private readonly message: HTMLElement, private readonly open: (task: TaskDocument) => void) {
    const isChosen = storedChoice(CHOICE) === "on";
    this.#set(isChosen && permission() === "granted", isChosen ? permission() : "granted");
    control.addEventListener("change", () => void this.#onChoice());
    document.addEventListener("visibilitychange", () => {
      this.#finished = [];
      if (!document.hidden) this.#shown?.close();
    });
    // A notification outlasts its page, which its click would need, and the session of its user.
    addEventListener("pagehide", () => { this.#shown?.close(); });
  }

  /** Take the tasks that have finished. */
  show(finished: readonly TaskDocument[]): void {
    if (!this.control.checked || !document.hidden || finished.length === 0) return;
    this.#finished = [...finished, ...this.#finished];
    const text = notificationOf(this.#finished);
    if (text === null) return;
    try {
      this.#shown = new Notification(text.title, { body: text.body, tag: TAG });
    } catch {
      // Browsers of phones show only notifications of service workers.
      this.#set(false, null);
      return;
    }
    this.#shown.addEventListener("click", ({ target }) => {
      window.focus();
      (target as Notification).close();
      if (text.task !== null) this.open(text.task);
    });
  }

  async #onChoice(): Promise<void> {
    if (!this.control.checked) {
      this.#set(false, "granted");
      storeChoice(CHOICE, "off");
      return;
    }
    const answer = permission() === null ? null : await Notification.requestPermission();
    this.#set(answer === "granted", answer);
    storeChoice(CHOICE, answer === "granted" ? "on" : "off");
  }

  #set(isOn: boolean, answer: NotificationPermission | null): void {
    this.control.checked = isOn;
    setText(this.message, refusalText(answer, isSecureContext));
  }
}

function permission(): NotificationPermission | null {
  return "Notification" in globalThis ? Notification.permission : null;
}
