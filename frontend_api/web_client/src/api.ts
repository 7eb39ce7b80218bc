/** The REST API, as far as the page uses it. Everything live comes from Firestore instead. */

import { Calls } from "./calls";
import type { Model } from "./catalog";
import { ProblemError } from "./problems";
import { parsedWithExactSeeds, type Seed } from "./seeds";
import type { Session } from "./session";
import type { Outlook } from "./waiting_line";
import type { Warning } from "./warnings";

export interface Submitted {
  /** Whether a live worker serves the task's model. */
  readonly served: boolean | null;
}

export class Api {
  readonly #calls: Calls;

  constructor(private readonly session: () => Session | null) {
    this.#calls = new Calls(session);
  }

  async models(): Promise<readonly Model[]> {
    return ((await this.#json("GET", "/v1/models")) as { models: Model[] }).models;
  }

  async submit(body: string, idempotencyKey: string): Promise<Submitted> {
    const headers = { "idempotency-key": idempotencyKey };
    const answer = await this.#calls.send("POST", "/v1/tasks", { body, headers });
    const task = parsedWithExactSeeds(await answer.text()) as { model_served?: boolean | null };
    return { served: task.model_served ?? null };
  }

  /** The warnings that a submission with this body would have. */
  async warningsOf(body: string): Promise<readonly Warning[]> {
    const answer = await this.#calls.send("POST", "/v1/tasks:estimate", { body });
    return ((await answer.json()) as { warnings?: Warning[] }).warnings ?? [];
  }

  async cancel(taskId: string): Promise<void> {
    await this.#calls.send("POST", `${pathOf(taskId)}/cancel`);
  }

  async retry(taskId: string): Promise<void> {
    await this.#calls.send("POST", `${pathOf(taskId)}/retry`);
  }

  /** A task that is gone already is what was asked for. */
  async delete(taskId: string): Promise<void> {
    await this.#calls.send("DELETE", pathOf(taskId)).catch((error: unknown) => {
      if (!(error instanceof ProblemError && error.problem.status === 404)) throw error;
    });
  }

  /** Where a waiting task stands, and about how long it will take. */
  async outlookOf(taskId: string): Promise<Outlook> {
    const task = (await this.#json("GET", pathOf(taskId))) as {
      queue_position?: number | null;
      eta?: { p50_seconds?: number | null } | null;
      model_served?: boolean | null;
    };
    return {
      position: task.queue_position ?? null,
      seconds: task.eta?.p50_seconds ?? null,
      served: task.model_served ?? null,
    };
  }

  /** The exact seed of a task whose seed Firestore's JavaScript numbers cannot hold. */
  async seedOf(taskId: string): Promise<Seed | null> {
    const task = (await this.#json("GET", pathOf(taskId))) as { parameters?: { seed?: Seed } };
    return task.parameters?.seed ?? null;
  }

  /**
   * What an <img> can show: the image's own address where the API knows its user anyway, else the signed link that
   * the task carries, else the bytes as a blob (an <img> cannot send a token).
   */
  async imageSource(taskId: string, index: number): Promise<string> {
    const address = imageAddress(taskId, index);
    const token = await this.session()?.token();
    if (!token) return address;
    const task = (await this.#json("GET", pathOf(taskId))) as { images?: { index: number; url?: string }[] };
    const link = task.images?.find((image) => image.index === index)?.url;
    if (link && new URL(link, location.href).origin !== location.origin) return link;
    return URL.createObjectURL(await this.imageBytes(taskId, index));
  }

  async imageBytes(taskId: string, index: number): Promise<Blob> {
    return (await this.#calls.send("GET", imageAddress(taskId, index))).blob();
  }

  async #json(method: string, path: string): Promise<unknown> {
    return parsedWithExactSeeds(await (await this.#calls.send(method, path)).text());
  }
}

function pathOf(taskId: string): string {
  return `/v1/tasks/${encodeURIComponent(taskId)}`;
}

function imageAddress(taskId: string, index: number): string {
  return `${pathOf(taskId)}/images/${index}`;
}
