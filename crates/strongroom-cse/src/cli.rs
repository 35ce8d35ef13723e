// SPDX-License-Identifier: Apache-2.0
//! The words of `strongroom cse`, and the help that teaches them.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use strongroom_client::CommitmentPolicy;

/// `strongroom cse ..`
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum CseCommand {
    /// Encrypt a file into a bucket, or decrypt an object into a file
    #[command(after_help = CP_EXAMPLES)]
    Cp(CpArgs),
    /// Decrypt objects to standard output, once they are verified
    #[command(after_help = CAT_EXAMPLES)]
    Cat(CatArgs),
    /// List objects with the sizes of their plaintext
    #[command(after_help = LS_EXAMPLES)]
    Ls(LsArgs),
    /// Show the metadata of an object and the size of its plaintext
    Head(HeadArgs),
    /// Say how an object is encrypted and whether it would be opened; needs no key
    #[command(after_help = INSPECT_EXAMPLES)]
    Inspect(InspectArgs),
    /// Wrap the data key of an object under another key, leaving the data as it is
    #[command(after_help = REWRAP_EXAMPLES)]
    Rewrap(RewrapArgs),
    /// Decrypt an object and encrypt it anew: into format V3, or under another key
    #[command(after_help = REENCRYPT_EXAMPLES)]
    Reencrypt(ReencryptArgs),
    /// Make a wrapping key in a file of its own
    #[command(after_help = KEYGEN_EXAMPLES)]
    Keygen(KeygenArgs),
}

impl CseCommand {
    /// What it says of the services; one that makes a key asks none.
    pub(crate) fn service(&self) -> Option<&ServiceArgs> {
        match self {
            Self::Cp(args) => Some(&args.service),
            Self::Cat(args) => Some(&args.service),
            Self::Ls(args) => Some(&args.service),
            Self::Head(args) => Some(&args.service),
            Self::Inspect(args) => Some(&args.service),
            Self::Rewrap(args) => Some(&args.service),
            Self::Reencrypt(args) => Some(&args.service),
            Self::Keygen(_) => None,
        }
    }
}

/// `strongroom cse cp`
#[derive(Debug, Args)]
pub struct CpArgs {
    /// A file, `-` for standard input, or s3://BUCKET/KEY
    pub(crate) source: String,
    /// A file or folder, `-` for standard output, s3://BUCKET/KEY or s3://BUCKET/FOLDER/
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) writing: WritingArgs,
    /// Bytes of a part of a multipart upload, as 16MiB or 16777216; S3 takes no less than 5MiB
    /// [default: 7MiB]
    #[arg(long, value_name = "SIZE", value_parser = crate::size::parse, help_heading = UPLOAD)]
    pub(crate) part_size: Option<u64>,
    /// Parts that are uploaded or downloaded at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64), help_heading = UPLOAD)]
    pub(crate) parallel: u8,
    /// Where uploads that may go on later are recorded; no key is in it
    /// [default: ~/.local/state/strongroom/cse]
    #[arg(long, value_name = "DIR", env = "STRONGROOM_CSE_STATE", value_parser = path(), help_heading = UPLOAD)]
    pub(crate) state: Option<PathBuf>,
    #[arg(long, env = "XDG_STATE_HOME", value_parser = path(), hide = true)]
    pub(crate) state_home: Option<PathBuf>,
    #[arg(long, env = "HOME", value_parser = path(), hide = true)]
    pub(crate) home: Option<PathBuf>,
    /// Begin at the start again, even if an upload of this file was interrupted
    #[arg(long, help_heading = UPLOAD)]
    pub(crate) no_resume: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
    /// Draw no progress bar
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// `strongroom cse cat`
#[derive(Debug, Args)]
pub struct CatArgs {
    /// The objects, as s3://BUCKET/KEY
    #[arg(required = true)]
    pub(crate) objects: Vec<String>,
    /// Only these bytes of the plaintext, as in HTTP: 0-99, 100-, or -40 for the last 40. The whole
    /// object is read and verified all the same
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    pub(crate) range: Option<String>,
    /// With --range: fetch these bytes only. Nothing authenticates them: whoever can change the object
    /// can change any bit of what is shown
    #[arg(long, requires_all = ["range", "enable_legacy_unauthenticated_modes"])]
    pub(crate) unverified: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

/// `strongroom cse ls`
#[derive(Debug, Args)]
pub struct LsArgs {
    /// s3://BUCKET or s3://BUCKET/PREFIX
    pub(crate) place: String,
    /// Also what lies in folders
    #[arg(long, short)]
    pub(crate) recursive: bool,
    /// Instruction files, too
    #[arg(long)]
    pub(crate) all: bool,
    /// One JSON object for each line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

/// `strongroom cse head`
#[derive(Debug, Args)]
pub struct HeadArgs {
    /// The object, as s3://BUCKET/KEY
    pub(crate) object: String,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

/// `strongroom cse inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The object, as s3://BUCKET/KEY
    pub(crate) object: String,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

/// `strongroom cse rewrap`
#[derive(Debug, Args)]
pub struct RewrapArgs {
    /// The object, as s3://BUCKET/KEY
    pub(crate) object: String,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    #[command(flatten)]
    pub(crate) to: ToArgs,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

/// `strongroom cse reencrypt`
#[derive(Debug, Args)]
pub struct ReencryptArgs {
    /// The object, as s3://BUCKET/KEY
    pub(crate) object: String,
    /// Where the new object goes [default: in the place of the old one]
    pub(crate) target: Option<String>,
    /// Keep the wrapped key in an instruction file beside the object
    #[arg(long, help_heading = UPLOAD)]
    pub(crate) instruction_file: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    #[command(flatten)]
    pub(crate) to: ToArgs,
    #[command(flatten)]
    pub(crate) service: ServiceArgs,
    /// Draw no progress bar
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// `strongroom cse keygen`
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// What kind of key
    pub(crate) kind: KeyKind,
    /// The file to make; one that is there is never written over. The public half of an RSA key goes
    /// to FILE.pub
    pub(crate) file: PathBuf,
}

/// Kinds of wrapping keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum KeyKind {
    /// 32 random bytes, in Base64
    #[value(name = "aes-256")]
    Aes256,
    /// RSA key pair, PEM
    #[value(name = "rsa-2048")]
    Rsa2048,
    /// RSA key pair, PEM
    #[value(name = "rsa-3072")]
    Rsa3072,
    /// RSA key pair, PEM
    #[value(name = "rsa-4096")]
    Rsa4096,
}

/// How a new object is kept.
#[derive(Debug, Args)]
pub(crate) struct WritingArgs {
    /// Keep the wrapped key in an instruction file (KEY.instruction) beside the object instead of in
    /// its metadata
    #[arg(long, help_heading = UPLOAD)]
    pub(crate) instruction_file: bool,
    /// User metadata of the new object, NAME=VALUE; not encrypted. May be repeated
    #[arg(long, value_name = "NAME=VALUE", help_heading = UPLOAD)]
    pub(crate) metadata: Vec<String>,
    /// Content type of the new object
    #[arg(long, value_name = "TYPE", help_heading = UPLOAD)]
    pub(crate) content_type: Option<String>,
}

/// What is accepted when reading, and which format is written.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReadingArgs {
    /// Whether objects must commit to their key
    #[arg(
        long,
        value_name = "POLICY",
        default_value = "require-encrypt-require-decrypt",
        help_heading = ACCEPTED
    )]
    pub(crate) commitment_policy: Policy,
    /// Read data keys that old clients wrapped in ways that bind nothing
    #[arg(long, help_heading = ACCEPTED)]
    pub(crate) enable_legacy_wrapping_algorithms: bool,
    /// Read content that nothing authenticates (AES-CBC of old clients)
    #[arg(long, help_heading = ACCEPTED)]
    pub(crate) enable_legacy_unauthenticated_modes: bool,
}

/// The names of Amazon's clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
#[expect(clippy::enum_variant_names, reason = "the names of Amazon's clients")]
pub(crate) enum Policy {
    /// Writes format V2, reads V1, V2 and V3
    ForbidEncryptAllowDecrypt,
    /// Writes format V3, reads V1, V2 and V3
    RequireEncryptAllowDecrypt,
    /// Writes format V3 and reads nothing else
    RequireEncryptRequireDecrypt,
}

impl From<Policy> for CommitmentPolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::ForbidEncryptAllowDecrypt => Self::ForbidEncryptAllowDecrypt,
            Policy::RequireEncryptAllowDecrypt => Self::RequireEncryptAllowDecrypt,
            Policy::RequireEncryptRequireDecrypt => Self::RequireEncryptRequireDecrypt,
        }
    }
}

/// Who wraps and unwraps data keys.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// The KMS key that wraps data keys: id, ARN or alias
    #[arg(long, value_name = "KEY", conflicts_with_all = ["kms_any_key", "master_key"], help_heading = KEYS)]
    pub(crate) kms_key: Option<String>,
    /// Read under whatever KMS key an object names. Whoever may write the object then chooses the
    /// key
    #[arg(long, conflicts_with = "master_key", help_heading = KEYS)]
    pub(crate) kms_any_key: bool,
    /// A wrapping key of your own, from `strongroom cse keygen`: AES (raw bytes, Base64 or hex) or RSA
    /// (PEM; the public half is enough to encrypt). Repeated, the first one encrypts and all decrypt
    #[arg(long, value_name = "FILE", help_heading = KEYS)]
    pub(crate) master_key: Vec<PathBuf>,
    /// Materials description of the key before it: {"kid":"2026"} or kid=2026. It stands in clear beside
    /// each object and says which key opens it [default: {}]
    #[arg(long, value_name = "JSON", requires = "master_key", help_heading = KEYS)]
    pub(crate) matdesc: Vec<String>,
    /// Encryption context of the KMS key, NAME=VALUE; reading wants exactly what was said at writing.
    /// May be repeated
    #[arg(long, value_name = "NAME=VALUE", help_heading = KEYS)]
    pub(crate) context: Vec<String>,
}

/// Under which key from now on.
#[derive(Debug, Args)]
#[expect(clippy::struct_field_names, reason = "the fields name the flags")]
pub(crate) struct ToArgs {
    /// The new KMS key
    #[arg(long, value_name = "KEY", conflicts_with = "to_master_key", help_heading = TO)]
    pub(crate) to_kms_key: Option<String>,
    /// The new wrapping key
    #[arg(long, value_name = "FILE", help_heading = TO)]
    pub(crate) to_master_key: Option<PathBuf>,
    /// Its materials description
    #[arg(long, value_name = "JSON", requires = "to_master_key", help_heading = TO)]
    pub(crate) to_matdesc: Option<String>,
    /// The new encryption context, NAME=VALUE [default: that of --context]
    #[arg(long, value_name = "NAME=VALUE", requires = "to_kms_key", help_heading = TO)]
    pub(crate) to_context: Vec<String>,
}

/// Where S3 and the key service are. What is not said comes from the environment and the profile, as
/// for the AWS CLI.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServiceArgs {
    /// Address of S3 and of the key service
    #[arg(long, value_name = "URL", help_heading = SERVICE)]
    pub(crate) endpoint_url: Option<String>,
    /// Address of the key service, if it is another
    #[arg(long, value_name = "URL", env = "STRONGROOM_CSE_KMS_ENDPOINT_URL", help_heading = SERVICE)]
    pub(crate) kms_endpoint_url: Option<String>,
    /// Profile of ~/.aws/config and ~/.aws/credentials
    #[arg(long, value_name = "NAME", help_heading = SERVICE)]
    pub(crate) profile: Option<String>,
    #[arg(long, env = "AWS_ENDPOINT_URL_S3", hide = true)]
    pub(crate) s3_endpoint_url: Option<String>,
    #[arg(long, env = "AWS_ENDPOINT_URL", hide = true)]
    pub(crate) general_url: Option<String>,
    #[arg(long, env = "AWS_ENDPOINT_URL_KMS", hide = true)]
    pub(crate) kms_service_url: Option<String>,
    /// The region
    #[arg(long, value_name = "NAME", help_heading = SERVICE)]
    pub(crate) region: Option<String>,
    /// Certificates that may sign the services', PEM
    #[arg(long, value_name = "FILE", env = "AWS_CA_BUNDLE", value_parser = path(), help_heading = SERVICE)]
    pub(crate) ca_bundle: Option<PathBuf>,
    /// Seconds that an answer may take to begin, for each attempt; 0 waits for ever. A body that is sent
    /// has a second for each 64 KiB besides, what S3 completes or copies ten times as long
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(..=86_400), help_heading = SERVICE)]
    pub(crate) read_timeout: u32,
    /// Have signatures cover bodies over TLS, too, where a bucket's policy demands it. Slower
    #[arg(long, help_heading = SERVICE)]
    pub(crate) sign_bodies: bool,
}

/// A path that may be empty: a variable that is set to nothing is one that is not set.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

const KEYS: &str = "Keys";
const TO: &str = "New key";
const ACCEPTED: &str = "What is accepted";
const UPLOAD: &str = "Upload";
const SERVICE: &str = "Services (else as the AWS CLI: environment, ~/.aws)";

/// Examples for `strongroom cse --help`.
pub const CSE_EXAMPLES: &str = "\
Examples:
  strongroom cse keygen aes-256 my.key
  strongroom cse cp report.pdf s3://box/report.pdf --master-key my.key
  strongroom cse cp s3://box/report.pdf copy.pdf --master-key my.key
  strongroom cse cp - s3://box/dump.sql --kms-key alias/backup --context purpose=backup
  strongroom cse ls s3://box

Objects are encrypted before they leave this machine, in the formats of Amazon's S3 Encryption Clients
(Java, Python, Go, .NET, Ruby, C++, PHP): each reads what the other wrote. Any S3 and any KMS that speak
the AWS protocols will do; addresses, profiles and credentials are found as by the AWS CLI. For a
Strongroom server of this machine: eval \"$(strongroom env)\".

A wrapping key that is lost takes all objects under it along. Keep copies.";

const CP_EXAMPLES: &str = "\
Examples:
  strongroom cse cp report.pdf s3://box/report.pdf --kms-key alias/reports
  strongroom cse cp s3://box/report.pdf . --kms-key alias/reports
  pg_dump db | strongroom cse cp - s3://box/db.sql --master-key my.key
  strongroom cse cp big.img s3://box/ --master-key my.pub        # a public key can only encrypt

Large files go up in parts, several at a time. If that is interrupted, the same command goes on where
it was: parts that arrived are not sent again, and the file is compared with what was sent of it.
Standard input does not come twice, and a public key opens nothing: such an upload is begun anew, and
if it is killed its parts stay at the store until `aws s3api abort-multipart-upload` or a lifecycle
rule of the bucket takes them.

With --instruction-file over an object that is there, the wrapped key is in the object's metadata, too, until its
file is written, so that an interruption loses nothing; above 5 GiB it stays there.

A file that is written is complete and verified when it appears under its name: nothing is left of a
download that fails, is interrupted or does not authenticate (on file systems without nameless files a
killed one leaves .XXXXXX.part beside it, unverified, readable by you alone, to be removed). A new file
is readable by you alone (mode 0600); one that was there and yours keeps its mode and its group, but not
an access list (ACL), and where the group cannot be kept, nothing is left to it.";

const CAT_EXAMPLES: &str = "\
Examples:
  strongroom cse cat s3://box/notes.txt --kms-key alias/notes
  strongroom cse cat s3://box/log --range -1000 --master-key my.key

Nothing is written before all of the object was verified.";

const LS_EXAMPLES: &str = "\
Examples:
  strongroom cse ls s3://box
  strongroom cse ls s3://box/2026/ --recursive

Columns: time, size of the plaintext (~ if padding hides up to 16 bytes), format, key. Objects that are
not encrypted by a client are marked with `-`. Instruction files are not listed.";

const INSPECT_EXAMPLES: &str = "\
Examples:
  strongroom cse inspect s3://box/report.pdf
  strongroom cse inspect s3://box/old --commitment-policy require-encrypt-allow-decrypt

Prints JSON: format, wrapping algorithm, cipher, materials description or encryption context, where
the envelope is kept, and which settings would open it. No key is used and nothing is decrypted: the
answer is what the object claims, not what is true.

Exit status: 0 it would be opened by these settings, 1 it would not, 2 wrong usage.";

const REWRAP_EXAMPLES: &str = "\
Examples:
  strongroom cse rewrap s3://box/a --master-key old.key --matdesc kid=1 --to-master-key new.key --to-matdesc kid=2
  strongroom cse rewrap s3://box/a --kms-key alias/old --to-kms-key alias/new

The data key stays the same, so whoever had it still has it: after a leak of a wrapping key use
`strongroom cse reencrypt`. With an instruction file only that file is written; otherwise the object
is copied onto itself with new metadata, at the server.";

const REENCRYPT_EXAMPLES: &str = "\
Examples:
  strongroom cse reencrypt s3://box/old --commitment-policy require-encrypt-allow-decrypt \\
      --enable-legacy-wrapping-algorithms --enable-legacy-unauthenticated-modes --master-key my.key
  strongroom cse reencrypt s3://box/a s3://vault/a --master-key old.key --to-kms-key alias/new

The old object is read and verified before the new one is written.";

const KEYGEN_EXAMPLES: &str = "\
Examples:
  strongroom cse keygen aes-256 my.key
  strongroom cse keygen rsa-3072 my.pem        # and the public half in my.pem.pub

The file can be read by you alone (mode 0600). Without it nothing that was encrypted under it can be
read by anyone: keep copies in other places.";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Words {
        #[command(subcommand)]
        command: CseCommand,
    }

    fn parse(words: &str) -> Result<CseCommand, clap::Error> {
        let words = ["cse"].into_iter().chain(words.split(' '));
        Words::try_parse_from(words).map(|words| words.command)
    }

    #[test]
    fn the_words_are_consistent() {
        Words::command().debug_assert();
    }

    #[test]
    fn words_that_fit() {
        for words in [
            "cp a s3://b/k --kms-key k --context a=b --context c=d",
            "cp - s3://b/k --master-key a --matdesc kid=1 --master-key b --matdesc kid=2 --part-size 5MiB",
            "cp s3://b/k - --kms-any-key --enable-legacy-wrapping-algorithms",
            "cat s3://b/k --range -40 --master-key a",
            "cat s3://b/k s3://b/l --range 0-1 --unverified --enable-legacy-unauthenticated-modes --kms-key k",
            "ls s3://b --recursive --json --profile p --region r --endpoint-url http://localhost:1",
            "inspect s3://b/k --commitment-policy forbid-encrypt-allow-decrypt",
            "rewrap s3://b/k --kms-key k --to-kms-key l --to-context a=b",
            "reencrypt s3://b/k s3://b/l --kms-key k --to-master-key f --to-matdesc {}",
            "keygen rsa-3072 file",
        ] {
            assert!(parse(words).is_ok(), "{words}: {:?}", parse(words));
        }
        let Ok(CseCommand::Inspect(args)) = parse("inspect s3://b/k") else {
            panic!("inspect");
        };
        assert_eq!(
            args.reading.commitment_policy,
            Policy::RequireEncryptRequireDecrypt
        );
        assert!(!args.reading.enable_legacy_wrapping_algorithms);
        assert!(!args.reading.enable_legacy_unauthenticated_modes);
    }

    #[test]
    fn words_that_contradict_each_other() {
        for words in [
            "cp a",
            "cp a b --kms-key k --master-key f",
            "cp a b --kms-any-key --kms-key k",
            "cp a b --matdesc kid=1",
            "cp a b --parallel 0",
            "cp a b --part-size big",
            "cp a b --commitment-policy any",
            "cat",
            "cat s3://b/k --unverified",
            "cat s3://b/k --unverified --range 0-1",
            "rewrap s3://b/k --to-kms-key a --to-master-key b",
            "rewrap s3://b/k --to-context a=b",
            "rewrap s3://b/k --to-matdesc a=b",
            "keygen aes-128 file",
            "keygen aes-256",
            "mv a b",
        ] {
            assert!(parse(words).is_err(), "{words}");
        }
    }
}
