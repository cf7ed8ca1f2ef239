/**
 * Certificates that openssl has made, in Base64: what signed them, and with which hash.
 *
 * @module
 */

export interface SignedCertificate {
  readonly der: Uint8Array<ArrayBuffer>;
  readonly algorithm: string;
  readonly hash: string | undefined;
  /** What `openssl dgst` makes of it, in hexadecimal digits: with SHA-256 in the place of MD5 and SHA-1. */
  readonly digest: string | undefined;
}

/** By what they are signed with. */
export const SIGNED_CERTIFICATES: Readonly<Record<string, SignedCertificate>> =
  {
    "RSA, SHA-256": signed(
      "1.2.840.113549.1.1.11",
      "sha256",
      "681c3a711f8aa8a91cabcca39cddeb00ed8d5eebdede8a715370f696706d200d",
      `
    MIIBQzCBrQIBATANBgkqhkiG9w0BAQsFADANMQswCQYDVQQDDAJjYTAgFw0yNjExMjgxMTEzMjRaGA8yMTI2MTEwNDExMTMyNFow
    DTELMAkGA1UEAwwCZGIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ2541TTq8/z+9sW7Mg4FonCA0c9zdvbBfYSqxmFgarPHTW
    zaAL4TKFLkGL3X9ViXVnp4HQMyxrxdodfyn2znfQMA0GCSqGSIb3DQEBCwUAA4GBALzsDQqkWGSjE2UECPpVLY8R1sQWhabjuhfm
    pky91UhoAAtRLr4vnW2c+kjSbAuOx/iwPTVxp6xnEkhqLgcyw+APfgXRVN7oK59r89CnGAv5/4bKPkduuyiGB5Fa3fKS2by7CF8C
    8nYbxCIRZADwOWrD4wzEAWicPZ/uyZpKexot`,
    ),
    "RSA, SHA-1": signed(
      "1.2.840.113549.1.1.5",
      "sha1",
      "51dcc671fabb884c149e3b31adfd731c9c1c2dbd556e2759b0b024db8a02b096",
      `
    MIIBQzCBrQIBATANBgkqhkiG9w0BAQUFADANMQswCQYDVQQDDAJjYTAgFw0yNjExMjgxMTEzMjRaGA8yMTI2MTEwNDExMTMyNFow
    DTELMAkGA1UEAwwCZGIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ2541TTq8/z+9sW7Mg4FonCA0c9zdvbBfYSqxmFgarPHTW
    zaAL4TKFLkGL3X9ViXVnp4HQMyxrxdodfyn2znfQMA0GCSqGSIb3DQEBBQUAA4GBAKQ+icNziooMuv6uCderkh/USwIbxxCSNAyP
    FsqT+ZiWswLUm0uUN8c527UMu19XXTGe8O1p9jHJMu5zwBBRZ+Kv9FdCYlQDd0LJM6aobUJkFkJedY005wUJzNS8X2XzWOSusgYG
    W3c0nAt366+ObgxUO8GWtGdqHYKJhAybdpgg`,
    ),
    "RSA, SHA-512": signed(
      "1.2.840.113549.1.1.13",
      "sha512",
      "34fc078b3339f549544ba4d2d85cdeb84ba379b37482603b03e6ccf4af4d2884ec6dde677cfdd6f7e530ecac763ee817d227e057806895ebe4cb6ad6ae510421",
      `
    MIIBQzCBrQIBATANBgkqhkiG9w0BAQ0FADANMQswCQYDVQQDDAJjYTAgFw0yNjExMjgxMTEzMjVaGA8yMTI2MTEwNDExMTMyNVow
    DTELMAkGA1UEAwwCZGIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ2541TTq8/z+9sW7Mg4FonCA0c9zdvbBfYSqxmFgarPHTW
    zaAL4TKFLkGL3X9ViXVnp4HQMyxrxdodfyn2znfQMA0GCSqGSIb3DQEBDQUAA4GBAGsJXhPFoeGnbz9JN2pTLNGNT+2sPZAg0P7s
    Jy9OhsLE7aA6dEg4lrd+KPOplVuwSUXD4Os16V+oH5qzkBj8Vr3p93AbMgh2QtDe8vY4fPl9VvuyMYB7EXhpfAR/zzNggJK9rTwK
    JzC4UbmxXAjiTvT+tBi0IB0gy8uxFBF7VTkA`,
    ),
    "RSA, MD5": signed(
      "1.2.840.113549.1.1.4",
      "md5",
      "490ad38c7e2d4e7a358b6c3b483922f090503d5d8531bf9426eecc86e48eef77",
      `
    MIIBQzCBrQIBATANBgkqhkiG9w0BAQQFADANMQswCQYDVQQDDAJjYTAgFw0yNjExMjgxMTEzMjVaGA8yMTI2MTEwNDExMTMyNVow
    DTELMAkGA1UEAwwCZGIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ2541TTq8/z+9sW7Mg4FonCA0c9zdvbBfYSqxmFgarPHTW
    zaAL4TKFLkGL3X9ViXVnp4HQMyxrxdodfyn2znfQMA0GCSqGSIb3DQEBBAUAA4GBAJj8iNtZy7QzShr32dTd92UXtQfNB8T24aGE
    3G/dZ76NBoU7y7VMQCuMj02tv7QbcBgKtfdVrhGV255pP7pnz3cxDe8q1zlHrh7dbWLRu/8RhKzVVX/mbbFB/0ZD6BW4eeHGbkh2
    D8cq4DclZLggKj3Dh9/cRg19fYAXsSqv7UVF`,
    ),
    "ECDSA, SHA-384": signed(
      "1.2.840.10045.4.3.3",
      "sha384",
      "2ef6c172933fbc39f0966f2fbf294170fc0bcdfa5e87c7a555ec1e370a059358c50558932834f9a7aac4d3fe86868ec9",
      `
    MIIBAjCBqgIBATAKBggqhkjOPQQDAzANMQswCQYDVQQDDAJjYTAgFw0yNjExMjgxMTEzMjVaGA8yMTI2MTEwNDExMTMyNVowDTEL
    MAkGA1UEAwwCZGIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ2541TTq8/z+9sW7Mg4FonCA0c9zdvbBfYSqxmFgarPHTWzaAL
    4TKFLkGL3X9ViXVnp4HQMyxrxdodfyn2znfQMAoGCCqGSM49BAMDA0cAMEQCIAytU/Tg7qirKe6Mck0crxZ+n2WWE3z7xkGBvfPS
    gaosAiAG2xN5DW6nV3HSmMAUHbwocteVygdeMPViaHR2AGJXzA==`,
    ),
    "ECDSA, SHA3-256": signed(
      "2.16.840.1.101.3.4.3.10",
      "sha3-256",
      "862282e798b9883751e80f97b00454e7762b3f82a2d64c5e0fe0966faf4ec407",
      `
    MIIBBjCBqwIBATALBglghkgBZQMEAwowDTELMAkGA1UEAwwCY2EwIBcNMjYxMTI4MTExMzI1WhgPMjEyNjExMDQxMTEzMjVaMA0x
    CzAJBgNVBAMMAmRiMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENueNU06vP8/vbFuzIOBaJwgNHPc3b2wX2EqsZhYGqzx01s2g
    C+EyhS5Bi91/VYl1Z6eB0DMsa8XaHX8p9s530DALBglghkgBZQMEAwoDSQAwRgIhAJmpFeHqMvCLf0h8azdN75hJ5X3kTK4k1b2W
    88lMrmmdAiEAt2UORneZMdFRq6bW8RymbmL9vGAobGcv+UJ58BQ2Uzk=`,
    ),
    "RSA-PSS, SHA-512": signed(
      "1.2.840.113549.1.1.10",
      "sha512",
      "f55ddfd2fa4b2bd4021652a89665088fd65f2d11979f1019fcd95c6e119385abe0da0619f1452ccdf877ae2a3674ec7c1253ee61f24bd154eb80f848b31290e3",
      `
    MIIB6zCB4QIBATBBBgkqhkiG9w0BAQowNKAPMA0GCWCGSAFlAwQCAwUAoRwwGgYJKoZIhvcNAQEIMA0GCWCGSAFlAwQCAwUAogMC
    ASAwDTELMAkGA1UEAwwCY2EwIBcNMjYxMTI4MTExMzI1WhgPMjEyNjExMDQxMTEzMjVaMA0xCzAJBgNVBAMMAmRiMFkwEwYHKoZI
    zj0CAQYIKoZIzj0DAQcDQgAENueNU06vP8/vbFuzIOBaJwgNHPc3b2wX2EqsZhYGqzx01s2gC+EyhS5Bi91/VYl1Z6eB0DMsa8Xa
    HX8p9s530DBBBgkqhkiG9w0BAQowNKAPMA0GCWCGSAFlAwQCAwUAoRwwGgYJKoZIhvcNAQEIMA0GCWCGSAFlAwQCAwUAogMCASAD
    gcEAYLalUHYk9mI8c6zwwYjB1kKYW3hk8ND93lfTkfvz1ZnVQq7l3yfqQUI8PKmyHZ4Jo+Tk2bcqblkvGJ4L2EJMmsPztThufuDQ
    WnYzL5lG9AybdsVtrW+MVH6ork708p0dwSxyMEXEU/q97K2kx4VAY8w74z01jPCvVlhIWScxyKEMaMZjV9u9yGXPHurZki2qP7K0
    J4jkiWAsQ12oJrLpKjfJNuLg6LzG+FeJ9ORiMoD/Q8g7ELvFzt2ragF4OMpm`,
    ),
    "RSA-PSS, its default": signed(
      "1.2.840.113549.1.1.10",
      "sha1",
      "32c5484f67965a39e49a2198cbda370916e824241ba8dcfa336e6789bd75d18d",
      `
    MIIBQzCBrQIBATANBgkqhkiG9w0BAQowADANMQswCQYDVQQDDAJjYTAgFw0yNjExMjgxMTEzMjVaGA8yMTI2MTEwNDExMTMyNVow
    DTELMAkGA1UEAwwCZGIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ2541TTq8/z+9sW7Mg4FonCA0c9zdvbBfYSqxmFgarPHTW
    zaAL4TKFLkGL3X9ViXVnp4HQMyxrxdodfyn2znfQMA0GCSqGSIb3DQEBCjAAA4GBAJYyhU367px+qosnC+6HRY2bZpyRm7yEoMgj
    vX4fYCLMa85S9EhKnnXdsm8SmP9CPTi+/U8By1Pi5FMVkK9xThfMZ5Gt5g0cXZG1MxI4Cf6wyPsNV/Pc5xg9sNRDSncRXChkKQAG
    hcjgY+YIdl1pBSqvB72zVWe3E7aqCnmG3Btz`,
    ),
    "Ed25519": signed(
      "1.3.101.112",
      undefined,
      undefined,
      `
    MIHyMIGlAgEBMAUGAytlcDANMQswCQYDVQQDDAJjYTAgFw0yNjExMjgxMTEzMjVaGA8yMTI2MTEwNDExMTMyNVowDTELMAkGA1UE
    AwwCZGIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ2541TTq8/z+9sW7Mg4FonCA0c9zdvbBfYSqxmFgarPHTWzaAL4TKFLkGL
    3X9ViXVnp4HQMyxrxdodfyn2znfQMAUGAytlcANBAMi6S14Jmmubd359VZ7GgzAI4HO97LtlAxtwoTh24Qb1ilvuFL4A6qwMKrqn
    7ED9fCCYIrB24koiCRn7US7zEQM=`,
    ),
    "RSA, RIPEMD-160": signed(
      "1.3.36.3.3.1.2",
      undefined,
      undefined,
      `
    MIIBPTCBqgIBATAKBgYrJAMDAQIFADANMQswCQYDVQQDDAJjYTAgFw0yNjExMjgxMTEzMjVaGA8yMTI2MTEwNDExMTMyNVowDTEL
    MAkGA1UEAwwCZGIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ2541TTq8/z+9sW7Mg4FonCA0c9zdvbBfYSqxmFgarPHTWzaAL
    4TKFLkGL3X9ViXVnp4HQMyxrxdodfyn2znfQMAoGBiskAwMBAgUAA4GBAJBfNFGl/tV/CZUj6BacoAcQWxEx8MqMoEOY+ZUwFDpS
    02syC+I4ijmRUEUic+M6eek0o78VY7K9j6wkZavn9LHUmeU4fdLhryhg96J3wWUojpAiZYZS+tOhOlhtuSnTb309MwpneCO8yqeU
    hq8eeJLj0TtTcSHv4fKddbbx83bu`,
    ),
  };

function signed(
  algorithm: string,
  hash: string | undefined,
  digest: string | undefined,
  base64: string,
): SignedCertificate {
  const der = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return { der, algorithm, hash, digest };
}
