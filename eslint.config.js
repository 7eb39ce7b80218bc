import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["**/dist/"] },
  {
    files: ["**/src/**/*.ts", "**/tests/**/*.ts", "clients/web/examples/**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      "max-lines": ["error", 300],
      "no-console": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
    },
  },
);
