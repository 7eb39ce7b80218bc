/** Firebase Auth with Google as identity provider. Only pages whose users sign in load this module. */

import type { FirebaseApp } from "firebase/app";
import * as sdk from "firebase/auth";

import type { Auth } from "../session";

export function firebaseAuth(app: FirebaseApp): Auth {
  const auth = sdk.getAuth(app);
  return {
    subscribe(onChange) {
      sdk.onAuthStateChanged(auth, (user) => {
        onChange(user && { userId: user.uid, email: user.email, token: () => user.getIdToken() });
      });
    },
    async signIn() {
      const provider = new sdk.GoogleAuthProvider();
      // Otherwise Google signs in the last account again, which may be the one without access.
      provider.setCustomParameters({ prompt: "select_account" });
      await sdk.signInWithPopup(auth, provider);
    },
    signOut: () => sdk.signOut(auth),
    isOffered: true,
  };
}
