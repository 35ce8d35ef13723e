// SPDX-License-Identifier: Apache-2.0
// Puts and gets an object in each mode with the AWS SDK for JavaScript; answers one JSON line.
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import https from "node:https";
import {
  CompleteMultipartUploadCommand, CopyObjectCommand, CreateMultipartUploadCommand,
  DeleteObjectCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command,
  PutObjectCommand, S3Client, UploadPartCommand,
} from "@aws-sdk/client-s3";

const [bucket, keyArn] = process.argv.slice(2);
const ca = process.env.AWS_CA_BUNDLE && readFileSync(process.env.AWS_CA_BUNDLE);
const client = new S3Client({
  endpoint: process.env.AWS_ENDPOINT_URL,
  forcePathStyle: true,
  requestHandler: { httpsAgent: new https.Agent({ ca }) },
});
const secret = randomBytes(32);
const customer = {
  SSECustomerAlgorithm: "AES256",
  SSECustomerKey: secret.toString("base64"),
  SSECustomerKeyMD5: createHash("md5").update(secret).digest("base64"),
};
const modes = {
  s3: [{ ServerSideEncryption: "AES256" }, {}],
  kms: [{ ServerSideEncryption: "aws:kms", SSEKMSKeyId: keyArn }, {}],
  c: [customer, customer],
};
const bytesOf = async (answer) => Buffer.from(await answer.Body.transformToByteArray());
const told = {};

for (const [name, [write, read]] of Object.entries(modes)) {
  for (const size of [0, 1, 65537, 1 << 20]) {
    const Body = randomBytes(size);
    const where = { Bucket: bucket, Key: `js/${name} ü+%/${size}` };
    const put = await client.send(new PutObjectCommand({ ...where, Body, Metadata: { a: "1" }, ...write }));
    const got = await client.send(new GetObjectCommand({ ...where, ...read }));
    if (!(await bytesOf(got)).equals(Body)) throw new Error(`${name} ${size}: other bytes`);
    if (got.Metadata.a !== "1" || got.ETag !== put.ETag) throw new Error(`${name} ${size}: facts`);
    if (size > 1) {
      const Range = `bytes=${size - 2}-${size - 1}`;
      const part = await bytesOf(await client.send(new GetObjectCommand({ ...where, Range, ...read })));
      if (!part.equals(Body.subarray(size - 2))) throw new Error(`${name} ${size}: range`);
    }
    const head = await client.send(new HeadObjectCommand({ ...where, ...read }));
    told[name] = [head.ServerSideEncryption, head.SSEKMSKeyId, head.SSECustomerAlgorithm];
  }
  const where = { Bucket: bucket, Key: `js/${name}/multipart` };
  const pieces = [randomBytes(5 << 20), randomBytes(1000)];
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...where, ...write }));
  const Parts = [];
  for (const [n, Body] of pieces.entries()) {
    const PartNumber = n + 1;
    const { ETag, ChecksumCRC32 } = await client.send(
      new UploadPartCommand({ ...where, UploadId, PartNumber, Body, ...read }));
    Parts.push({ PartNumber, ETag, ChecksumCRC32 });
  }
  await client.send(new CompleteMultipartUploadCommand({ ...where, UploadId, MultipartUpload: { Parts }, ...read }));
  const got = await bytesOf(await client.send(new GetObjectCommand({ ...where, ...read })));
  if (!got.equals(Buffer.concat(pieces))) throw new Error(`${name}: multipart`);
}
await client.send(new CopyObjectCommand({
  Bucket: bucket, Key: "js/copy", CopySource: `${bucket}/js/s3/multipart`,
}));
const listed = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: "js/" }));
for (const { Key } of listed.Contents) {
  await client.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
}
try {
  await client.send(new GetObjectCommand({ Bucket: bucket, Key: "absent" }));
} catch (error) {
  told.absent = error.name;
}
console.log(JSON.stringify({ told, objects: listed.Contents.length }));
