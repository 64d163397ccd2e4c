/**
 * What a client or a provider said, without what looks like a key: clients put headers, and servers
 * put keys, into what they say.
 */

/**
 * The words, of which what looks like a secret is cut out; `undefined` of what speaks of headers,
 * which is not repeated at all. At most 500 characters.
 */
export const withoutSecrets = (said: string | undefined): string | undefined => {
  if (said === undefined || /header|authoriz|cookie/i.test(said)) return undefined
  const cut = said
    .replaceAll(/:\/\/\S*@/g, "://[cut]@")
    .replaceAll(/\bbearer\s+[^\s"',;]+/gi, "[cut]")
    .replaceAll(
      /(api[-_ ]?key|token|secret|password)([^:=]{0,20}[:=]\s*)("[^"]*"|'[^']*'|[^\s,;]+)/gi,
      "$1$2[cut]"
    )
    .replaceAll(/(key\s*=\s*)("[^"]*"|'[^']*'|[^\s,;]+)/gi, "$1[cut]")
    .replaceAll(/\b(sk|pk|rk|gsk|xai|key|hf|ghp)[-_][^\s"',;]+/g, "[cut]")
    .replaceAll(/(?=[\w-]*\d)[\w-]{24,}/g, "[cut]")
  return cut.length > 500 ? `${cut.slice(0, 500)}...` : cut
}
