// SPDX-License-Identifier: Apache-2.0
// Where the simulator is known to answer otherwise than AWS documents, or where AWS documents
// nothing and we chose the careful answer. Each is as narrow as it can be told from the case; the
// sources are in docs/policy-language.md.

import { isIP } from "node:net";

const LIST = (value) => (Array.isArray(value) ? value : [value]);

const knownKeys = (context) =>
  new Map(Object.entries(context).map(([name, value]) => [name.toLowerCase(), value]));

/** Every condition of every policy of a case, with what the request has for its key. */
function* conditions({ keyPolicy, identity, context }) {
  const known = knownKeys(context);
  for (const policy of [keyPolicy, ...identity]) {
    for (const { Effect, Condition } of policy?.Statement ?? []) {
      for (const [operator, keys] of Object.entries(Condition ?? {})) {
        for (const [key, values] of Object.entries(keys)) {
          const [, set, base, ifExists] = /^(For\w+:)?(\w+?)(IfExists)?$/.exec(operator);
          const asked = known.get(key.toLowerCase());
          yield {
            effect: Effect, set, base, ifExists, known, asked, values: LIST(values),
            negated: base.includes("Not"), askedValues: asked === undefined ? [] : LIST(asked),
          };
        }
      }
    }
  }
}

const anyCondition = (holds) => (asked) => {
  for (const condition of conditions(asked)) if (holds(condition)) return true;
  return false;
};

/** Whether a text has a variable that stands for nothing in this request. */
function hasVariableWithoutValue(text, known) {
  for (const [, inside] of text.matchAll(/\$\{([^}]*)\}/g)) {
    if (["*", "?", "$"].includes(inside)) continue;
    const [name, standard] = inside.split(", ");
    const value = known.get(name.toLowerCase());
    if (standard === undefined && (typeof value !== "string" || value === "")) return true;
  }
  return false;
}

const isNumber = (text) => /^-?\d+(\.\d+)?$/.test(text);
const isDate = (text) => isNumber(text) || !Number.isNaN(Date.parse(text));
const isAddress = (text) => isIP(text) !== 0;
const isArn = (text) => text.split(":").length >= 6;
const readable = { Numeric: isNumber, Date: isDate, IpAddress: isAddress, Arn: isArn };
const isReadable = (base, text) => {
  const type = Object.keys(readable).find((name) => base.replace("Not", "").startsWith(name));
  return type === undefined || readable[type](text);
};

export const explanations = [
  {
    name: "variables are text in version 2008-10-17; the simulator replaces them in any",
    applies: ({ keyPolicy, identity }) => [keyPolicy, ...identity].some(
      (policy) => policy?.Version === "2008-10-17" && JSON.stringify(policy).includes("${")),
  },
  {
    name: "a key with nothing but empty values is null to Null and to set operators",
    applies: anyCondition(({ base, set, asked, askedValues }) =>
      (base === "Null" || set || Array.isArray(asked))
      && asked !== undefined && askedValues.every((value) => value === "")),
  },
  {
    name: "IfExists with an absent key is true, behind ForAnyValue too",
    applies: anyCondition(({ set, ifExists, asked }) =>
      set === "ForAnyValue:" && ifExists && asked === undefined),
  },
  {
    name: "not documented: several values without a set operator; ours denies",
    applies: anyCondition(({ effect, set, base, asked }) =>
      effect === "Deny" && !set && base !== "Null" && Array.isArray(asked)),
  },
  {
    name: "a negated operator matches where a policy variable has no value",
    applies: anyCondition(({ negated, values, known }) =>
      negated && values.some((value) => hasVariableWithoutValue(value, known))),
  },
  {
    name: "not documented: a negated operator and a request's value of another type; ours matches",
    applies: anyCondition(({ negated, base, askedValues }) =>
      negated && askedValues.some((value) => !isReadable(base, value))),
  },
  {
    name: "a text that only begins with digits is no number; the simulator takes the digits",
    applies: anyCondition(({ base, askedValues }) =>
      base.startsWith("Numeric")
      && askedValues.some((value) => /^-?\d/.test(value) && !isNumber(value))),
  },
  {
    name: "${*}, ${?} and ${$} are characters in every string operator; the simulator's only in Like",
    applies: anyCondition(({ base, values }) =>
      /^String(Not)?Equals/.test(base) && values.some((value) => /\$\{[*?$]\}/.test(value))),
  },
  {
    name: "a date as a number is seconds; the simulator compares it with milliseconds",
    applies: anyCondition(({ base, values, askedValues }) =>
      base.startsWith("Date") && [...values, ...askedValues].some(isNumber)),
  },
  {
    name: "0.0.0.0/0 is every IPv4 address; the simulator's is none",
    applies: anyCondition(({ base, values }) =>
      base.endsWith("IpAddress") && values.includes("0.0.0.0/0")),
  },
  {
    name: "an address of one family is not one of the other; the simulator's NotIpAddress says neither",
    applies: anyCondition(({ base, values, askedValues }) =>
      base === "NotIpAddress" && values.some((value) => isIP(value) !== 0
        && askedValues.some((asked) => isIP(asked) !== isIP(value)))),
  },
  {
    name: "NotResource with a variable without value: a deny applies, an allow exempts what it could be",
    applies: ({ keyPolicy, identity, context }) => {
      const known = knownKeys(context);
      return [keyPolicy, ...identity].some((policy) => (policy?.Statement ?? []).some(
        ({ NotResource }) => LIST(NotResource ?? []).some(
          (pattern) => hasVariableWithoutValue(pattern, known))));
    },
  },
  {
    name: "an account in NotPrincipal does not exempt its users; the simulator does",
    applies: ({ keyPolicy, principal, isRoot }) => (keyPolicy?.Statement ?? []).some(
      ({ NotPrincipal }) => !isRoot && LIST(NotPrincipal?.AWS ?? []).some((name) =>
        [`arn:aws:iam::${principal.split(":")[4]}:root`, principal.split(":")[4]].includes(name))),
  },
];
