/** Links that show one picture to any holder: the calls of the API, and their texts. */

import type { HttpClient } from "@darkroom/web";

export interface Share {
  readonly id: string;
  readonly image_index: number;
  readonly created_at: string;
  readonly expires_at: string;
}

export class SharesApi {
  constructor(private readonly http: HttpClient) {}

  /** Create a link and return its address, which the API returns only once. */
  async create(taskId: string, index: number, hours: number): Promise<string> {
    const body = JSON.stringify({ image_index: index, expires_in_hours: hours });
    const response = await this.http.send("POST", sharesPath(taskId), { body });
    const { url } = (await response.json()) as { url: string };
    return new URL(url, location.href).href;
  }

  /** Return the task's links that work, newest first. */
  async list(taskId: string): Promise<readonly Share[]> {
    const response = await this.http.send("GET", sharesPath(taskId));
    return ((await response.json()) as { shares: Share[] }).shares;
  }

  revoke(taskId: string, id: string): Promise<void> {
    return this.http.delete(`${sharesPath(taskId)}/${encodeURIComponent(id)}`);
  }
}

/** Pure. "Image 2, until 6 Dec 2026, 14:30". Tasks with one image need no number. */
export function shareTitle(share: Share, imageCount: number, locale?: string): string {
  const until = new Date(share.expires_at).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
  return imageCount === 1 ? `Until ${until}` : `Image ${share.image_index + 1}, until ${until}`;
}

/** Pure. */
export function shareFacts(share: Share, locale?: string): string {
  return `Created ${new Date(share.created_at).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" })}`;
}

function sharesPath(taskId: string): string {
  return `v1/tasks/${encodeURIComponent(taskId)}/shares`;
}
