export const scanned = 'sha256:' + 'a1'.repeat(32)
export const unscanned = 'sha256:' + 'b2'.repeat(32)

const packages = ['openssl', 'zlib1g', 'libxml2', 'curl', 'libc6', 'perl-base', 'tar', 'libsystemd0']
const severities = ['High', 'Medium', 'Low', 'Negligible', 'Unknown']

// verdict is a report in Portcullis' own form, of an image that has something of everything.
export const verdict = {
  apiVersion: 'portcullis/v1',
  kind: 'Verdict',
  imageID: scanned,
  scanner: { name: 'our scanner', version: '1.2' },
  scannedAt: '2026-11-02T10:20:30Z',
  scanned: ['vulnerabilities', 'malware'],
  skipped: [{ kind: 'secrets', what: '3 files larger than 100 MiB were not looked into' }],
  vulnerabilities: [
    {
      id: 'CVE-2021-44228', aliases: ['GHSA-jfh8-c2jp-5v3q'], severity: 'Critical', package: 'org.apache.logging.log4j:log4j-core', version: '2.14.1', fixedVersion: '2.15.0',
      type: 'maven', path: 'opt/shop/cart/lib/application-with-a-long-name-1.2.3.jar', cwes: [502], labels: ['fixable', 'network', 'known-exploited', 'language-package'],
    },
    ...Array.from({ length: 24 }, (_, index) => ({
      id: `CVE-2025-${1000 + index}`, severity: severities[index % severities.length], package: packages[index % packages.length], version: `1.${index}-2+deb12u1`,
      ...(index % 2 ? { fixedVersion: `1.${index}-3`, labels: ['fixable', 'os-package'] } : { labels: ['no-fix', 'os-package'] }), type: 'deb',
    })),
  ],
  malware: [
    {
      path: '/usr/local/bin/kworkerd', md5: '44d88612fea8a8f36de82e1278abb02f', sha256: '275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f',
      signature: 'Multios.Coinminer.Miner-6781728-2', engine: 'ClamAV', type: 'miner', severity: 'Critical',
    },
  ],
  secrets: [{ path: '/root/.ssh/id_rsa', rule: 'pem', type: 'private-key', level: 'High', redacted: '----********' }],
}
