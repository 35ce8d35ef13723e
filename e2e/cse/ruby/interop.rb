# SPDX-License-Identifier: Apache-2.0
# Amazon's S3 encryption clients for Ruby, driven by a list of jobs on standard input; one JSON line
# for each on standard output.
require 'json'
require 'base64'
require 'digest'
require 'openssl'
require 'aws-sdk-s3'
require 'aws-sdk-kms'

plan = JSON.parse($stdin.read)
at = { endpoint: plan['endpoint'], region: plan['region'], ssl_ca_bundle: plan['ca'] }
S3 = Aws::S3::Client.new(**at, force_path_style: true)
KMS = Aws::KMS::Client.new(**at)
AES = Base64.strict_decode64(plan['aes'])
RSA = OpenSSL::PKey::RSA.new(File.read(plan['rsa']))
KEY = plan['kms']

def client(job)
  common = {
    client: S3,
    envelope_location: job['storage'] == 'instruction file' ? :instruction_file : :metadata
  }
  key = { 'aes' => { encryption_key: AES }, 'rsa' => { encryption_key: RSA },
          'kms' => { kms_key_id: KEY, kms_client: KMS } }.fetch(job['wrap'])
  return Aws::S3::Encryption::Client.new(**common, **key) if job['client'] == 'V1'

  wrap = { 'aes' => :aes_gcm, 'rsa' => :rsa_oaep_sha1, 'kms' => :kms_context }.fetch(job['wrap'])
  Aws::S3::EncryptionV2::Client.new(
    **common, **key, key_wrap_schema: wrap, content_encryption_schema: :aes_gcm_no_padding,
    security_profile: :v2
  )
end

clients = {}
plan['jobs'].each do |job|
  done = { 'id' => job['id'] }
  begin
    s3 = clients[job.values_at('client', 'wrap', 'storage')] ||= client(job)
    place = { bucket: job['bucket'], key: job['key'] }
    context = job['wrap'] == 'kms' && job['client'] != 'V1' ? { kms_encryption_context: job['context'] } : {}
    # Debian's gem for KMS is older than naming the key when decrypting.
    any = context.empty? ? {} : { kms_allow_decrypt_with_any_cmk: true }
    if job['op'] == 'put'
      s3.put_object(**place, **context, body: File.binread(job['file']))
    else
      bytes = s3.get_object(**place, **context, **any).body.read
      done['sha256'] = Digest::SHA256.hexdigest(bytes)
    end
    done['ok'] = true
  rescue StandardError => e
    done['ok'] = false
    done['error'] = "#{e.class}: #{e.message}"[0, 400]
  end
  puts JSON.generate(done)
end
