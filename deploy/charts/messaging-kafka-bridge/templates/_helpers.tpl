{{- define "bridge.name" -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}

{{- define "bridge.selector" -}}
app.kubernetes.io/name: messaging-kafka-bridge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "bridge.labels" -}}
{{ include "bridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "bridge.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- printf "%s%s%s" .Values.image.repository (ternary "@" ":" (hasPrefix "sha256:" $tag)) $tag -}}
{{- end -}}

{{- /* The port of an address of config, as a number: bridge.port (list KEY ADDRESS). The pod's loopback is nobody's but the pod's. */ -}}
{{- define "bridge.port" -}}
{{- $key := index . 0 -}}
{{- $address := toString (index . 1) -}}
{{- $port := regexFind "[0-9]+$" $address -}}
{{- if not $port -}}
{{- fail (printf "config.%s: %s does not end with a port" $key $address) -}}
{{- end -}}
{{- if regexMatch "^(:?[0-9]+|localhost:[0-9]+|127[.][0-9.]+:[0-9]+|\\[::1\\]:[0-9]+)$" $address -}}
{{- fail (printf "config.%s: %s is the loopback of the pod, which nobody else reaches; write 0.0.0.0:%s" $key $address $port) -}}
{{- end -}}
{{- $port -}}
{{- end -}}

{{- /* The ports of config's admin_address and listen. */ -}}
{{- define "bridge.adminPort" -}}
{{- include "bridge.port" (list "admin_address" (required "config.admin_address is missing: the probes ask it (0.0.0.0:9464)" .Values.config.admin_address)) -}}
{{- end -}}
{{- define "bridge.listenPort" -}}
{{- include "bridge.port" (list "listen" (required "service.port needs config.listen" .Values.config.listen)) -}}
{{- end -}}

{{- /* A list of config, which is one of YAML or a text with commas, as a text with commas. */ -}}
{{- define "bridge.list" -}}
{{- if kindIs "slice" . -}}{{- join "," . -}}{{- else -}}{{- toString . -}}{{- end -}}
{{- end -}}

{{- /* A text of config as KEDA is to have it, which gets it as it stands. */ -}}
{{- define "bridge.forKEDA" -}}
{{- if contains "${" . -}}
{{- fail (printf "autoscaling: KEDA does not know the variables in %s: write out what they stand for, or make a ScaledObject of your own" .) -}}
{{- end -}}
{{- . | quote -}}
{{- end -}}
