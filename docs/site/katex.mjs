// Reads a JSON list of {latex, display} and writes the list of their HTML.
// A formula that KaTeX does not know ends it with that formula's error.
import { readFileSync } from "node:fs";
import katex from "katex";

const formulas = JSON.parse(readFileSync(0, "utf-8"));
const rendered = formulas.map(({ latex, display }) =>
  katex.renderToString(latex, { displayMode: display, throwOnError: true, strict: "error" }),
);
process.stdout.write(JSON.stringify(rendered));
