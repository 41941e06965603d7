// Checks the OpenAPI and AsyncAPI documents named on the command line: a line for each fault,
// and exit status 1, when one is wrong.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

// Where `npm ci` put them; this file stays where it is.
const require = createRequire(join(process.cwd(), "package.json"));
const { Parser } = require("@asyncapi/parser");
const { createConfig, lintFromString } = require("@redocly/openapi-core");
const { Validator } = await import(require.resolve("@seriousme/openapi-schema-validator"));

// The linter's rules about what a document means, beside what its schema asks.
const config = await createConfig({
  rules: {
    struct: "error",
    "no-unresolved-refs": "error",
    "no-unused-components": "error",
    "no-identical-paths": "error",
    "no-ambiguous-paths": "off",
    "no-duplicated-tag-names": "error",
    "operation-operationId-unique": "error",
    "operation-operationId-url-safe": "error",
    "operation-parameters-unique": "error",
    "operation-tag-defined": "error",
    "operation-2xx-response": "error",
    "operation-4xx-response": "error",
    "operation-summary": "error",
    "path-declaration-must-exist": "error",
    "path-not-include-query": "error",
    "path-parameters-defined": "error",
    "paths-kebab-case": "off",
    "security-defined": "error",
    "no-enum-type-mismatch": "error",
    "no-invalid-schema-examples": "error",
    "no-required-schema-properties-undefined": "error",
    "spec-components-invalid-map-name": "error",
    "no-empty-servers": "error",
    "no-server-trailing-slash": "off",
    "no-undefined-server-variable": "error",
  },
});

async function openapiFaults(text) {
  const found = await new Validator().validate(JSON.parse(text));
  const faults = found.valid ? [] : [].concat(found.errors).map((one) => JSON.stringify(one));
  const problems = await lintFromString({ source: text, config });
  return faults.concat(problems.map((one) => `${one.ruleId}: ${one.message} at ` +
    (one.location[0]?.pointer ?? "")));
}

async function asyncapiFaults(text) {
  const parser = new Parser();
  const diagnostics = await parser.validate(text);
  // Its advice (ids, contacts, newer versions) is no fault.
  return diagnostics.filter((one) => one.severity === 0)
    .map((one) => `${one.code}: ${one.message} at ${one.path.join("/")}`);
}

let failed = false;
for (const path of process.argv.slice(2)) {
  const text = readFileSync(path, "utf8");
  const faults = JSON.parse(text).asyncapi ? await asyncapiFaults(text) : await openapiFaults(text);
  for (const fault of faults) {
    console.log(`${path}: ${fault}`);
    failed = true;
  }
}
process.exitCode = failed ? 1 : 0;
