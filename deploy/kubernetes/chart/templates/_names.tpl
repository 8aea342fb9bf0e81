{{- define "tcpwatch.selector" -}}
app.kubernetes.io/name: tcpwatch
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "tcpwatch.labels" -}}
{{ include "tcpwatch.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
