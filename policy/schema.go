package policy

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// schema is one JSON Schema.
type schema map[string]any

// Schema returns the JSON Schema (draft 2020-12) of one document, for editors. It says what a schema can
// say; Parse checks all of it and more.
func Schema() ([]byte, error) {
	return json.MarshalIndent(schema{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       "Portcullis policy documents",
		"description": "One document of a policy file: an ImagePolicy or an Exemption.",
		"type":        "object",
		"oneOf": []schema{
			document(KindImagePolicy, imagePolicySchema()),
			document(KindExemption, exemptionSchema()),
		},
	}, "", "  ")
}

func document(kind string, spec schema) schema {
	name := text("Unique among all documents of its kind.")
	name["minLength"], name["maxLength"] = 1, MaxName
	name["not"] = schema{"enum": []string{".", ".."}}
	return object("", []string{"apiVersion", "kind", "metadata", "spec"}, schema{
		"apiVersion": schema{"const": APIVersion},
		"kind":       schema{"const": kind},
		"metadata":   object("", []string{"name"}, schema{"name": name}),
		"spec":       spec,
	})
}

func imagePolicySchema() schema {
	description := text("What the policy is for.")
	description["maxLength"] = MaxDescription
	spec := object("", []string{"template", "enabled", "effect", "scope"}, schema{
		"description": description,
		"template":    enum("Which question the policy asks. It never changes.", templates),
		"enabled":     schema{"type": "boolean", "description": "Whether the policy acts."},
		"effect":      effectSchema(),
		"risk":        riskSchema(),
		"privileges":  privilegesSchema(),
		"unscanned":   enum("What to do with an image that nobody has scanned.", answers),
		"scope":       scopeSchema(),
	})
	spec["allOf"] = []schema{
		onlyWith("template", string(TemplateRiskyImage), []string{"risk"}, "privileges"),
		onlyWith("template", string(TemplatePrivilegedStart), nil, "risk", "unscanned"),
	}
	return spec
}

func effectSchema() schema {
	s := object("What a match leads to.", []string{"mode"}, schema{
		"mode":  enum("Block at once, or alert for a number of days and then block.", modes),
		"days":  schema{"type": "integer", "minimum": 1, "maximum": MaxObserveDays, "description": "Days of observation."},
		"since": schema{"type": "string", "format": "date-time", "description": "When the observation began or is to begin; when the node first saw the policy switched on, when left out."},
	})
	s["allOf"] = []schema{
		onlyWith("mode", string(Immediate), nil, "days", "since"),
		onlyWith("mode", string(Observe), []string{"days"}),
	}
	return s
}

// onlyWith requires some fields and forbids others while key has a value.
func onlyWith(key, value string, required []string, forbidden ...string) schema {
	without := schema{}
	for _, field := range forbidden {
		without[field] = false
	}
	then := schema{"properties": without}
	if required != nil {
		then["required"] = required
	}
	return schema{"if": schema{"properties": schema{key: schema{"const": value}}, "required": []string{key}}, "then": then}
}

func riskSchema() schema {
	component := object("", []string{"name"}, schema{
		"name":    text("The package's name, such as openssl."),
		"version": text("A range such as <2.17.1 or >=1.0 <2.0; every version when left out."),
	})
	risk := object("What to look for; any of the three is enough.", nil, schema{
		"vulnerabilities": object("By any of cves, components, classes and labels.", nil, schema{
			"cves":        list("Advisory IDs, such as CVE-2021-44228.", like(cveForm.String()+"|"+otherForm.String())),
			"components":  list("Packages and their versions.", component),
			"classes":     list("Kinds of weakness.", enum("", classNames())),
			"labels":      list("Properties of the vulnerability.", enum("", labels)),
			"severities":  list("Narrows classes and labels; selects by itself without them. Critical and High when left out.", enum("", severities)),
			"onlyFixable": schema{"type": "boolean", "description": "Only where a fixed version is known."},
			"gracePeriod": like(`^[1-9][0-9]{0,2}d$`).describe("Not before the vulnerability, or its fix, is that old: 14d."),
		}),
		"malware": object("By any of types, md5 and sha256; every malicious file when all are left out.", nil, schema{
			"types":  list("", enum("", malwareTypes)),
			"md5":    list("32 hexadecimal digits each.", like(md5Form.String())),
			"sha256": list("64 hexadecimal digits each.", like(sha256Form.String())),
		}),
		"secrets": object("By type and level; a list that is left out stands for all.", nil, schema{
			"levels": list("", enum("", severities)),
			"types":  list("", enum("", secretTypes)),
		}),
	})
	risk["minProperties"] = 1
	return risk
}

func privilegesSchema() schema {
	names := slices.Clone(parameterClasses)
	for _, p := range parameters {
		names = append(names, p.Name)
	}
	parameter := enum("", names)
	parameter = schema{"anyOf": []schema{parameter, {"type": "string", "pattern": "^([Cc][Aa][Pp]_)?[A-Za-z_]+$", "description": "A capability in another spelling."}}}
	return object("Which privileges; every class when left out.", nil, schema{
		"parameters": list("Classes and single parameters.", parameter),
		"rule":       enum("Selected images may not start privileged, or only they may.", rules),
	})
}

func scopeSchema() schema {
	names := func(what string) schema {
		s := object(what, nil, schema{"select": list("Globs; all when left out.", short(namePattern)), "exclude": list("Globs.", short(namePattern))})
		s["minProperties"] = 1
		return s
	}
	return object("Where the policy applies.", []string{"images"}, schema{
		"images": object("All images or those of select, without those of exclude.", nil, schema{
			"all":     schema{"type": "boolean"},
			"select":  list("Image IDs, repository digests and reference patterns.", short(idForm, patternForm)),
			"exclude": list("The same forms.", short(idForm, patternForm)),
		}),
		"namespaces": names("Kubernetes namespaces; all when left out."),
		"clusters":   names("Clusters; all when left out."),
	})
}

func exemptionSchema() schema {
	expires := text("From then on the exemption has no effect.")
	expires["format"] = "date-time"
	plain := func(what string, items schema) schema {
		return schema{"type": "array", "items": items, "description": what}
	}
	return object("", []string{"reason", "author", "expires"}, schema{
		"reason":   text("Why this exception is acceptable."),
		"author":   text("Who answers for it."),
		"expires":  expires,
		"images":   plain("Image IDs, repository digests and reference patterns; every image when left out.", short(idForm, patternForm)),
		"policies": plain("Names of policies; every policy when left out.", schema{"type": "string", "minLength": 1, "maxLength": MaxName}),
		"findings": plain("Advisory IDs and file hashes; every finding when left out.", like(strings.Join([]string{cveForm.String(), otherForm.String(), md5Form.String(), sha256Form.String()}, "|"))),
	})
}

func object(what string, required []string, properties schema) schema {
	s := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if required != nil {
		s["required"] = required
	}
	return s.describe(what)
}

func list(what string, items schema) schema {
	return schema{"type": "array", "items": items, "minItems": 1, "uniqueItems": true}.describe(what)
}

func enum(what string, words []string) schema { return schema{"enum": words}.describe(what) }

func like(pattern string) schema { return schema{"type": "string", "pattern": pattern} }

// short is a pattern of images or names in one of the forms.
func short(forms ...*regexp.Regexp) schema {
	alternatives := make([]string, len(forms))
	for i, form := range forms {
		alternatives[i] = form.String()
	}
	s := like(strings.Join(alternatives, "|"))
	s["maxLength"] = maxPattern
	return s
}

func text(what string) schema { return schema{"type": "string"}.describe(what) }

func (s schema) describe(what string) schema {
	if what != "" {
		s["description"] = what
	}
	return s
}
