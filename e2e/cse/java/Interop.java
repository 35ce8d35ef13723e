// SPDX-License-Identifier: Apache-2.0
// Amazon's S3 Encryption Client for Java, driven by a list of jobs on standard input (one line each,
// fields separated by tabs); one line for each on standard output.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.MessageDigest;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import javax.crypto.spec.SecretKeySpec;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kms.KmsClient;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.encryption.s3.CommitmentPolicy;
import software.amazon.encryption.s3.S3EncryptionClient;
import software.amazon.encryption.s3.algorithms.AlgorithmSuite;
import software.amazon.encryption.s3.internal.InstructionFileConfig;
import software.amazon.encryption.s3.materials.KmsKeyring;

public class Interop {
    static S3Client plain;
    static S3AsyncClient async;
    static KmsClient kms;
    static Map<String, String> settings = new HashMap<>();

    public static void main(String[] args) throws Exception {
        for (String arg : args) {
            String[] pair = arg.split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        URI endpoint = URI.create(settings.get("endpoint"));
        Region region = Region.of(settings.get("region"));
        plain = S3Client.builder().endpointOverride(endpoint).region(region).forcePathStyle(true).build();
        async = S3AsyncClient.builder().endpointOverride(endpoint).region(region).forcePathStyle(true).build();
        kms = KmsClient.builder().endpointOverride(endpoint).region(region).build();

        Map<String, S3Client> clients = new HashMap<>();
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            // id, op, format, wrap, storage, bucket, key, file, context (NAME=VALUE, separated by commas)
            String[] job = line.split("\t", -1);
            try {
                String kind = job[2] + job[3] + job[4];
                if (!clients.containsKey(kind)) {
                    clients.put(kind, client(job[2], job[3], job[4]));
                }
                System.out.println(job[0] + "\tok\t" + run(clients.get(kind), job));
            } catch (Exception e) {
                Throwable cause = e.getCause() == null ? e : e.getCause();
                String words = (e + " / " + cause.getMessage()).replaceAll("\\s+", " ");
                System.out.println(job[0] + "\tfailed\t" + words);
            }
        }
        System.exit(0);
    }

    static String run(S3Client s3, String[] job) throws Exception {
        Map<String, String> context = new HashMap<>();
        if (job[3].equals("kms")) {
            for (String entry : job[8].split(",")) {
                String[] pair = entry.split("=", 2);
                context.put(pair[0], pair[1]);
            }
        }
        var with = S3EncryptionClient.withAdditionalConfiguration(context);
        if (job[1].equals("put")) {
            byte[] bytes = Files.readAllBytes(Path.of(job[7]));
            s3.putObject(b -> b.bucket(job[5]).key(job[6]).overrideConfiguration(with),
                RequestBody.fromBytes(bytes));
            return "-";
        }
        byte[] bytes = s3.getObjectAsBytes(b -> b.bucket(job[5]).key(job[6]).overrideConfiguration(with))
            .asByteArray();
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    }

    static S3Client client(String format, String wrap, String storage) throws Exception {
        boolean v2 = format.equals("V2");
        var builder = S3EncryptionClient.builderV4()
            .wrappedClient(plain)
            .wrappedAsyncClient(async)
            .commitmentPolicy(v2 ? CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
                                 : CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
            .encryptionAlgorithm(v2 ? AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF
                                    : AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY);
        if (storage.equals("instruction file")) {
            builder.instructionFileConfig(InstructionFileConfig.builder()
                .instructionFileClient(plain).enableInstructionFilePutObject(true).build());
        }
        switch (wrap) {
            case "aes" -> builder.aesKey(
                new SecretKeySpec(Base64.getDecoder().decode(settings.get("aes")), "AES"));
            case "rsa" -> {
                var factory = KeyFactory.getInstance("RSA");
                builder.rsaKeyPair(new KeyPair(
                    factory.generatePublic(new X509EncodedKeySpec(pem(settings.get("rsa") + ".pub"))),
                    factory.generatePrivate(new PKCS8EncodedKeySpec(pem(settings.get("rsa"))))));
            }
            default -> builder.keyring(
                KmsKeyring.builder().kmsClient(kms).wrappingKeyId(settings.get("kms")).build());
        }
        return builder.build();
    }

    static byte[] pem(String file) throws Exception {
        String text = Files.readString(Path.of(file)).replaceAll("-----[A-Z ]+-----", "");
        return Base64.getMimeDecoder().decode(text);
    }
}
