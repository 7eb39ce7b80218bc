/** Requests to the REST API with the user's credentials. Throws a ProblemError for an error response. */

import { ProblemError, isNotFound, problemFrom, unreachable } from "./problems.js";

export interface Connection {
  /** The address of the API, such as `https://darkroom.example/`; without one, the API is below the page's own address. */
  readonly baseUrl?: string;
  /** Return a valid token; null where the API needs none, as on the local stack. Called before each request. */
  readonly token?: () => Promise<string | null>;
}

export interface RequestOptions {
  /** Text is sent as JSON, other bodies with their own media type. */
  readonly body?: string | Blob;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export class HttpClient {
  readonly token: () => Promise<string | null>;
  readonly #base: string;

  constructor({ baseUrl = "", token = () => Promise.resolve(null) }: Connection = {}) {
    this.#base = baseUrl === "" || baseUrl.endsWith("/") ? baseUrl : `${baseUrl}/`;
    this.token = token;
  }

  /** The URL of a path of the API: relative to the page if the client has no address. */
  urlOf(path: string): string {
    return this.#base + path;
  }

  async send(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    const token = await this.token();
    const headers = new Headers({ accept: "application/json", ...options.headers });
    if (typeof options.body === "string") headers.set("content-type", "application/json");
    if (token) headers.set("authorization", `Bearer ${token}`);
    const response = await fetch(this.urlOf(path), { ...options, method, headers }).catch(() => {
      throw new ProblemError(unreachable());
    });
    if (response.ok) return response;
    const body = await response.text().catch(() => ""); // it may break off
    throw new ProblemError(problemFrom(response.status, body, response.headers.get("retry-after")));
  }

  /** Send DELETE. A resource that the API does not have counts as deleted. The API responds with 204, a proxy may not. */
  async delete(path: string): Promise<void> {
    try {
      const { status } = await this.send("DELETE", path);
      if (status !== 204) throw new ProblemError(problemFrom(status, "", null));
    } catch (error) {
      if (!(error instanceof ProblemError && isNotFound(error.problem))) throw error;
    }
  }
}
