// SPDX-License-Identifier: Apache-2.0
// Compares our decisions with those of an independent simulator of IAM. Reads cases as JSON lines
// (standard input), prints a table, and fails if a difference has no explanation.
import { createInterface } from "node:readline";
import { loadPolicy } from "@cloud-copilot/iam-policy";
import { explanations } from "./explained.mjs";

// What the package exports looks every action up in its data first, or drops the key policy's name
// on the way; its engine is what is wanted. The version is locked.
const engine = "./node_modules/@cloud-copilot/iam-simulate/dist/esm";
const { authorize } = await import(`${engine}/core_engine/CoreSimulatorEngine.js`);
const { AwsRequestImpl } = await import(`${engine}/request/request.js`);
const { RequestContextImpl } = await import(`${engine}/requestContext.js`);
const { DiscoveryContextKeyConstraints } =
  await import(`${engine}/context_keys/discoveryContextKeyConstraints.js`);

const WANTED = Number(process.argv[2] ?? 50_000);
const everything = {
  Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: "*", Resource: "*" }],
};

const simulationParameters = {
  simulationMode: "Strict", discoveryContextKeyConstraints: new DiscoveryContextKeyConstraints([]),
};

function simulated({ keyPolicy, identity, principal, isRoot, isAnonymous, action, resource, context }) {
  // The root user is not subject to identity policies, and who is no user of an account has none;
  // the simulator leaves both to its caller.
  const hasPolicies = principal.startsWith("arn:");
  const policies = isRoot ? [everything] : hasPolicies ? identity : [];
  const who = isAnonymous ? { type: "Anonymous" } : principal;
  // S3's ARNs do not tell the account: the caller's own.
  const accountId = resource.split(":")[4] || principal.split(":")[4];
  return authorize({
    request: new AwsRequestImpl(
      who, { resource, accountId }, action, new RequestContextImpl(context)),
    identityPolicies: policies.map((policy, n) => loadPolicy(policy, { name: `policy-${n}` })),
    resourcePolicy: keyPolicy ? loadPolicy(keyPolicy, { name: "key" }) : undefined,
    serviceControlPolicies: [], resourceControlPolicies: [], simulationParameters,
  }).result;
}

const explained = new Map(explanations.map(({ name }) => [name, 0]));
const decisions = new Map();
const unexplained = [];
let cases = 0, alone = 0, different = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  cases += 1;
  decisions.set(asked.decision, (decisions.get(asked.decision) ?? 0) + 1);
  let answer;
  try {
    answer = simulated(asked);
  } catch (error) {
    answer = `error: ${error.message}`;
  }
  const reasons = explanations.filter(({ applies }) => applies(asked));
  if (reasons.length === 0) alone += 1;
  if (answer === asked.decision) continue;
  different += 1;
  if (reasons.length === 0) unexplained.push({ answer, ...asked });
  else explained.set(reasons[0].name, explained.get(reasons[0].name) + 1);
}

const told = [...decisions].map(([name, count]) => `${count} ${name}`).join(", ");
console.log(`${cases} cases: ${told}`);
console.log(`${alone} cases without anything that the simulator is known to see otherwise`);
console.log(`${different} differences, ${unexplained.length} unexplained; the others:`);
for (const [name, count] of explained) console.log(`  ${String(count).padStart(6)}  ${name}`);
for (const one of unexplained.slice(0, Number(process.env.SHOW ?? 3))) console.log(JSON.stringify(one, null, 1));
if (unexplained.length > 0) process.exit(1);
if (alone < WANTED) {
  console.log(`fewer than ${WANTED} cases were compared without an exception`);
  process.exit(1);
}
