// SPDX-License-Identifier: Apache-2.0
// Amazon's S3 Encryption Client for Go, driven by a plan on standard input (JSON, as `peers.py` writes
// it); one line of JSON for each job on standard output.

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/aws/amazon-s3-encryption-client-go/v4/client"
	"github.com/aws/amazon-s3-encryption-client-go/v4/commitment"
	"github.com/aws/amazon-s3-encryption-client-go/v4/materials"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

type plan struct {
	KMS  string `json:"kms"`
	Jobs []job  `json:"jobs"`
}

type job struct {
	ID      int               `json:"id"`
	Op      string            `json:"op"`
	Format  string            `json:"format"`
	Bucket  string            `json:"bucket"`
	Key     string            `json:"key"`
	File    string            `json:"file"`
	Context map[string]string `json:"context"`
}

type answer struct {
	ID     int    `json:"id"`
	OK     bool   `json:"ok"`
	Error  string `json:"error,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

var policies = map[string]commitment.CommitmentPolicy{
	"V2": commitment.FORBID_ENCRYPT_ALLOW_DECRYPT,
	"V3": commitment.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
}

func main() {
	log.SetFlags(0)
	var todo plan
	if err := json.NewDecoder(os.Stdin).Decode(&todo); err != nil {
		log.Fatal(err)
	}
	// Region, credentials, endpoint and trust come from the environment: the client makes itself
	// another configuration from it when it looks for an instruction file.
	settings, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	clients := map[string]*client.S3EncryptionClientV4{}
	for format, policy := range policies {
		if clients[format], err = encrypting(settings, todo.KMS, policy); err != nil {
			log.Fatal(err)
		}
	}
	out := json.NewEncoder(os.Stdout)
	for _, one := range todo.Jobs {
		said := answer{ID: one.ID}
		if said.SHA256, err = run(clients[one.Format], one); err != nil {
			said.Error = err.Error()
		}
		said.OK = err == nil
		if err := out.Encode(said); err != nil {
			log.Fatal(err)
		}
	}
}

func encrypting(settings aws.Config, key string, policy commitment.CommitmentPolicy) (*client.S3EncryptionClientV4, error) {
	keyring := materials.NewKmsKeyring(kms.NewFromConfig(settings), key)
	manager, err := materials.NewCryptographicMaterialsManager(keyring)
	if err != nil {
		return nil, err
	}
	plain := s3.NewFromConfig(settings, func(options *s3.Options) { options.UsePathStyle = true })
	return client.New(plain, manager, func(options *client.EncryptionClientOptions) {
		options.CommitmentPolicy = policy
	})
}

func run(s3ec *client.S3EncryptionClientV4, one job) (string, error) {
	if s3ec == nil {
		return "", fmt.Errorf("no client for format %s", one.Format)
	}
	ctx := context.WithValue(context.Background(), client.EncryptionContext, one.Context)
	if one.Op == "put" {
		plain, err := os.ReadFile(one.File)
		if err != nil {
			return "", err
		}
		_, err = s3ec.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &one.Bucket, Key: &one.Key, Body: bytes.NewReader(plain),
		})
		return "", err
	}
	got, err := s3ec.GetObject(ctx, &s3.GetObjectInput{Bucket: &one.Bucket, Key: &one.Key})
	if err != nil {
		return "", err
	}
	defer got.Body.Close()
	digest := sha256.New()
	if _, err := io.Copy(digest, got.Body); err != nil {
		return "", err
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}
