/** API keys: the calls of the API, and their texts. */

import type { HttpClient } from "@darkroom/web";

export interface ApiKey {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly string[];
  readonly created_at: string;
  /** null: valid until it is revoked. */
  readonly expires_at: string | null;
  /** null: never used. */
  readonly last_used_at: string | null;
}

export class ApiKeysApi {
  constructor(private readonly http: HttpClient) {}

  /** Create a key and return it, which the API does only once. `days` is null for a key without an end. */
  async create(name: string, scopes: readonly string[], days: number | null): Promise<string> {
    const body = JSON.stringify({ name, scopes, ...(days === null ? {} : { expires_in_days: days }) });
    const response = await this.http.send("POST", "v1/keys", { body });
    return ((await response.json()) as { key: string }).key;
  }

  /** Return all keys, newest first. */
  async list(): Promise<readonly ApiKey[]> {
    return ((await (await this.http.send("GET", "v1/keys")).json()) as { keys: ApiKey[] }).keys;
  }

  revoke(id: string): Promise<void> {
    return this.http.delete(`v1/keys/${encodeURIComponent(id)}`);
  }
}

/** Pure. "drk_4f9a…, read and submit; created 29 Nov 2026, never used, valid until 27 Feb 2027". */
export function keyFacts(key: ApiKey, now: Date, locale?: string): string {
  const day = (time: string) => new Date(time).toLocaleDateString(locale, { dateStyle: "medium" });
  const use = key.last_used_at === null ? "never used" : `last used ${day(key.last_used_at)}`;
  const scopes = new Intl.ListFormat("en").format(key.scopes);
  return `drk_${key.id.slice(0, 6)}…, ${scopes}; created ${day(key.created_at)}, ${use}, ${validity(key, now, day)}`;
}

function validity({ expires_at: end }: ApiKey, now: Date, day: (time: string) => string): string {
  if (end === null) return "valid until revoked";
  return new Date(end) <= now ? `expired ${day(end)}` : `valid until ${day(end)}`;
}
