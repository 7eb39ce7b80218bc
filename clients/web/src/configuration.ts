/** `GET /config.json`: the Firestore database and the way users sign in. */

import { HttpClient } from "./http_client.js";

export interface Configuration {
  readonly project_id: string;
  /** Only in the cloud, where users sign in with Firebase Auth. */
  readonly firebase: {
    readonly apiKey: string;
    readonly authDomain: string;
    readonly projectId: string;
    readonly appId: string;
  } | null;
  /** Only on the local stack. */
  readonly firestore_emulator: {
    readonly host: string;
    readonly port: number;
    /** Names of the same machine, one for each page, such as `*.localhost`. */
    readonly page_hosts?: string | null;
  } | null;
  readonly mock_user_token: string | null;
  readonly user_id: string | null;
  /** How long a link to a picture may be valid; 0: this deployment permits none. */
  readonly max_share_days: number;
}

/** Read the configuration, which needs no credentials. */
export async function loadConfiguration(baseUrl = ""): Promise<Configuration> {
  return (await (await new HttpClient({ baseUrl }).send("GET", "config.json")).json()) as Configuration;
}
