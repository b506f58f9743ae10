package pemtext

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
)

// password is that of the keys here, all of them the same one as OpenSSL 3 has encrypted it for these tests.
const password = "pass wörd"

// plainKey is that key.
const plainKey = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg0QQdIHazB3MUXrNQnZ+xsX14E+Z16y9PTMr+sDnnUpahRANCAATw" +
	"c7uRzwUE5SP7W9iodRgMHXTDuuksgbJEcy5h05uvzyX3od3Zutjb6DGxLsjk1zfTeQ4ATz87h1cC9XCLDiZJ"

// opened are encrypted keys as base64 of DER, by how.
var opened = map[string]string{
	"OpenSSL's own way": "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiEJsdx3JdUogICCAAwDAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoE" +
		"ENBhyd2q3fSQyETg4Dhzjs0EgZB13zAJJYqK7GWDxAt2CLfS7id/gQQFdPSmW6NXRrHliPB1mZxla1Q1e0cQViRtVfwddOuN1XTA" +
		"BVCiqOAKo9QLZBJtY7MqtxAxNCMJ5Xn9gd6sVWRxUoPYnUO3XZlL+SpjmTztQYG6EIEFQ2tRmVuBClfOMK4g2dvHyD1fIXGTTD7Q" +
		"L7pqRCCw3JNUrFHA/5k=",
	"AES-128, SHA-512": "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjCUlJ3RxJG2AICCAAwDAYIKoZIhvcNAgsFADAdBglghkgBZQMEAQIE" +
		"EGaKaexAAueHX0Rw2j5zqYkEgZBcV77qw7aXpR1TpsTIzkB4dzx4JwS9coT7G9lJQ47lLN8u/ggTqCvOe8uSWk4priOH6QCxxFsx" +
		"4J+I6jKJiu3GY5GnZbwbMlem62FhKODr52Uyfsh6QPWDj5sqZ4UsnZ5MkTs7BXN4pKLJwFs46HjdXeDftnxLHT3ViEQF1EeoGunb" +
		"MeHHIrSgevSMk8MJmpU=",
	"AES-192, SHA-384": "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAh69EJ9pFtneAICCAAwDAYIKoZIhvcNAgoFADAdBglghkgBZQMEARYE" +
		"EBLh8bKdwSL+to3lBNwkGpkEgZAsn31HlQanjse0zAztKjB6Bb6RAGoG+xLdmTgO0CA/MBOuuOCc6BclrdmplrmDFSG6PNNkUwRo" +
		"qSNUo6gZnKU8HDnRyQwLWd4plN8i+rmnBw5OwTNh3jUcgWGuGsRGLR6v4C/M+gxZqvO1dg2gTOL85WAzD3PkZceW2D3BnLG5MHhZ" +
		"EOFVpaX7eDaJMm6kNeo=",
	"AES-256, SHA-224": "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAip0LR3IEYtnAICCAAwDAYIKoZIhvcNAggFADAdBglghkgBZQMEASoE" +
		"EGV4YrZvcKJwl73nNWalFsAEgZA6soAM4v6QIJ2n/f5L++PL3SSoXFg3mawAA+j1cjcMlfFAFqefR6pJgQxv0CydEgkzDS6cmBvu" +
		"Sr4h3cQNFCLuh6EhwPQyy/DlEva/Pb1jGuXsXVGVKSF4k4Q85NEeiICbj0VqorZPA+xDA6hnSOr0AiQIGObnUM8e+MAnGO31YEKx" +
		"3CM4lIbfcyghvVTPQhE=",
	"3DES, SHA-1": "MIHVMEAGCSqGSIb3DQEFDTAzMBsGCSqGSIb3DQEFDDAOBAgivn/eR/ltSgICCAAwFAYIKoZIhvcNAwcECHLyG061dRT5BIGQlTvg" +
		"QKa7NNdcROMYrrKIPwMLC6DxZb6a2LEKhx5RLSd+GK1SeitfdAnFigBecq2Szu/+IkMr/97PybYGB0t7hZoWXCOKuL83aOQk/Uki" +
		"1mJ6HjeJCfpztIWwQ9Tsr+PGP/bRQ5oAcSfescPjnMYMna3Go+MP4x90mEQiOYIuZiZ8FHJsMKLqrw8eJOvKA3wz",
	"100,000 rounds": "MIHtMFgGCSqGSIb3DQEFDTBLMCoGCSqGSIb3DQEFDDAdBAhGSzfDK1k06QIDAYagMAwGCCqGSIb3DQIJBQAwHQYJYIZIAWUDBAEq" +
		"BBAxJzKL1EPlaMtJgbaEyYeDBIGQLoblrdQjScwQqGyqzvTvoRSgKF+98ltLw5FtSja21tEEqfv+n4RqV+RqW5BsUTqOv3qL0th0" +
		"Vye4A5Xl0Jxk9p2ey3QBwehCJ8uqFLbBk+i5InXthkr7e5sS2AdtnHzQ3mw6BKTLMJMFTgVsXtKTvnaK27UQTcrFNth4SYdfWLtD" +
		"bb2nucJ2dmmyMUizb+uP",
}

// refused are others, with what is said of them.
var refused = map[string]struct{ text, want string }{
	"PBES1": {"MIGxMBwGCiqGSIb3DQEMAQMwDgQIbdFo4jjq0owCAggABIGQ/QUTAZT+oVrBQ68u86aaHu8a/Ap8aOWraohQdfuAPr4rMPdllUb+" +
		"Lvcin/2/QOy9JizNmU6ksaWI/c3t9FXmUx4DuyTB7/kZT0y08qImUO55FgzYdHCohwU0NR6BM36VaVrZuQKrT+rDnO18vQm/XXJa" +
		"5JgVXyHCByXGTwIcp6nAFRZrvG+BM854Iv7VWgsf", "encrypted in a way that is not supported"},
	"scrypt": {"MIHkME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAib91cQu7T5vAICBAACAQgCAQEwHQYJYIZIAWUDBAEqBBC3UrZr4o3G" +
		"/rxWcgYy8X1bBIGQb1zDp9cb9uHqmQERGcDNlyYuQLNQqwUg3AiVet3jG+LJMHbd3Aj4e3FsOer9/KIo79WR7IWtWggKzDqo6/EL" +
		"hPEW3XTmu9zkKLwCB4Nin0/y0SEv5oIEC8SQfM0B3bcVObn4CchiY+Q79jo11+VdV4TWbfKedwlNkaZKy9GDTYXfp/rEqiwk2tk/" +
		"1uzQdCnq", "encrypted in a way that is not supported"},
	"rounds": {"MIHtMFgGCSqGSIb3DQEFDTBLMCoGCSqGSIb3DQEFDDAdBAjpNYDhgBCObQIDD0JBMAwGCCqGSIb3DQIJBQAwHQYJYIZIAWUDBAEq" +
		"BBCYwndTyN1M30k9OPKcuMPjBIGQsdUOJmMX4XFHsHnGIb8MkSCFLaxe0vhQzL3PfxDwHAf/8XE/KcG7v/vZxM5NMQvudX44XpHu" +
		"tsAR4nVNfRdkaxa1lHZ3NMjXj46bRfts9TYnr4A9ZHKQIM8BkWwj0ROlIpvGDGjn+8uiW0xkIin3CpORZgnR1h2MiLXO2PztBQiO" +
		"J3twt49esKb6KD3S7UuM", "takes 1000001 rounds"},
}

// oldWay are bodies of keys that are encrypted in the way of old, as OpenSSL 1 did without being asked.
var oldWay = map[string]string{
	"AES": "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,CCD28EFA464A0B2FC0085500956D83F0\n\n" +
		"Kkn95wJ139sHkrprqlYF1OXgTfuQi4gdw1cCHb7CHReDuAHlV05xgCHmjrayODeN\n" +
		"FYGTWwf8FaLIJEy3fbA93nj3dxGmyZq8xtGcR1rhlErEgOdvUyZVo9INN801Klx0\n" +
		"eOrwYBz8fcZMTH5/3Kx7h0n4QWi4hg3y5KdmD5L1OT4=",
	"3DES": "Proc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,606C28759CD882D8\n\n" +
		"T1RKHNGggZO/kwkr5eI6GtxZLyaki57NQk6Id4n+8lwuYUdhW+8DR5mNXGdcbh3n\n" +
		"y42zpLmY401mWqv4H+fg9pZ/fhXTVh2Im68l2rp3yJWZZWu+d6w5MK6NoZC3Loh2\n" +
		"j908u9rgFgin4sQInOKITefxOx096xb8Zfvej7Kgg+k=",
}

func der(t *testing.T, text string) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestEncryptedKeysAreOpenedWithTheirPassword(t *testing.T) {
	t.Parallel()
	for name, text := range opened {
		armored := toPEM("ENCRYPTED PRIVATE KEY", der(t, text))
		for form, text := range map[string]string{"PEM": armored, "one line": strings.ReplaceAll(armored, "\n", " "),
			"base64":       text,
			"another name": strings.ReplaceAll(armored, "ENCRYPTED ", "")} {
			if form != "PEM" && name == "100,000 rounds" {
				continue // once takes its time
			}
			got, err := ReadKey([]byte(text), password)
			if err != nil || !got.WasEncrypted || string(got.PEM()) != toPEM("PRIVATE KEY", der(t, plainKey)) {
				t.Errorf("%s as %s: %v", name, form, err)
			}
		}
		if _, err := ReadKey([]byte(text), ""); err != ErrEncrypted {
			t.Errorf("%s without a password: %v", name, err)
		}
		for _, wrong := range []string{"canary", password + " ", "pass w\u00f6rd\n"} {
			if _, err := ReadKey([]byte(text), wrong); err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s with a wrong password: %v", name, err)
			}
		}
	}
	for name, body := range oldWay {
		armored := "-----BEGIN EC PRIVATE KEY-----\n" + body + "\n-----END EC PRIVATE KEY-----\n"
		for form, text := range map[string]string{"PEM": armored, "one line": strings.ReplaceAll(armored, "\n", " "),
			"written breaks": strings.ReplaceAll(armored, "\n", `\r\n`), "lost breaks": strings.ReplaceAll(armored, "\n", "")} {
			got, err := ReadKey([]byte(text), password)
			if err != nil || !got.WasEncrypted {
				t.Errorf("%s of old as %s: %v", name, form, err)
				continue
			}
			want, err := ReadKey([]byte(plainKey), "")
			if err != nil || !sameKey(want.Private.Public(), got.Private.Public()) {
				t.Errorf("%s of old as %s: another key", name, form)
			}
		}
		if _, err := ReadKey([]byte(armored), ""); err != ErrEncrypted {
			t.Errorf("%s of old without a password: %v", name, err)
		}
		if _, err := ReadKey([]byte(armored), "canary"); err != ErrPassword {
			t.Errorf("%s of old with a wrong password: %v", name, err)
		}
	}
	for name, test := range refused {
		if _, err := ReadKey([]byte(test.text), password); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// No byte of an encrypted key that is another makes it worse than an error.
func TestEncryptedKeysThatAreDamagedAreErrors(t *testing.T) {
	t.Parallel()
	whole := der(t, opened["AES-256, SHA-224"])
	want, err := ReadKey([]byte(plainKey), "")
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole[:110] { // all but what is encrypted
		for _, to := range []byte{0, 0xff} {
			if whole[at] == to {
				continue
			}
			broken := bytes.Clone(whole)
			broken[at] = to
			if key, err := ReadKey([]byte(toPEM("ENCRYPTED PRIVATE KEY", broken)), password); err == nil &&
				!sameKey(key.Private.Public(), want.Private.Public()) {
				t.Errorf("byte %d as %x: opens as another key", at, to)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, mangle := range harmless {
		f.Add(mangle(leaf.pem()+middle.pem()), password)
		f.Add(mangle(keyPEM), "")
	}
	for _, text := range opened {
		f.Add(text, password)
	}
	for _, body := range oldWay {
		f.Add("-----BEGIN EC PRIVATE KEY-----\n"+body+"\n-----END EC PRIVATE KEY-----\n", password)
	}
	f.Add("\xfe\xed\xfe\xed", "x")
	f.Add("-----BEGIN CERTIFICATE-----\n...\n-----END CERTIFICATE-----", "x")
	f.Fuzz(func(t *testing.T, text, password string) {
		if certs, err := ReadCertificates([]byte(text)); err == nil {
			again, err := ReadCertificates(certs.PEM())
			if err != nil || len(again.List) != len(certs.List) || len(again.Skipped) > 0 {
				t.Errorf("what was read is read otherwise: %v", err)
			}
		} else if certs != nil {
			t.Error("certificates come with an error")
		}
		key, err := ReadKey([]byte(text), password)
		if err != nil {
			return
		}
		again, err := ReadKey(key.PEM(), "")
		if err != nil || !sameKey(again.Private.Public(), key.Private.Public()) {
			t.Errorf("what was read is read otherwise: %v", err)
		}
	})
}
