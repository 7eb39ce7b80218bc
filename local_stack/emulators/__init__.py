"""Google's Pub/Sub and Firestore emulators: jars, Java, processes and exports."""
