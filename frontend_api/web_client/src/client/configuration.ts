/** `GET /config.json`: the Firestore database and the way users sign in. */

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
  readonly firestore_emulator: { readonly host: string; readonly port: number } | null;
  readonly mock_user_token: string | null;
  readonly user_id: string | null;
}

export async function loadConfiguration(): Promise<Configuration> {
  const response = await fetch("config.json", { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(`GET /config.json returned ${response.status}`);
  return (await response.json()) as Configuration;
}
